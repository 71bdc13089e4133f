"""Contrastive losses, one a file, and hard-negative mining. The package itself imports nothing: mining needs no torch."""
