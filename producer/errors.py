"""Errors of the producer's side."""

from __future__ import annotations


class ProducerError(Exception):
    """A command of the producer cannot go on; one line with the remedy."""


class ServerUnreachable(ProducerError):
    """Kafka does not answer; the message names the address and the remedy."""
