"""Keeps every product's neighbour list right: Kafka -> encoder -> index and neighbour graph -> Redis."""
