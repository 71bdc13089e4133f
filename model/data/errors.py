"""Errors of the data to train with."""

from __future__ import annotations

from producer.errors import ProducerError


class DataError(ProducerError):
    """A file or a set that cannot be used; one line that names the place, the value and the remedy."""
