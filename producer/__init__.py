"""Sends product events to Kafka: formats, catalogue readers, folding of partial updates, publisher, replay."""
