"""The errors that callers tell apart. Each message is one line that names both sides and the remedy."""

from __future__ import annotations


class KinstreamError(Exception):
    """Ends a command with exit code 1: a check failed, or a thing asked for does not exist."""


class ServerUnavailable(KinstreamError):
    """Slow down and retry: Kafka or Redis does not answer now. A command that cannot wait ends with exit code 3."""


class TopicRecreated(KinstreamError):
    """The topic is no longer the one that was read: everything starts again from its beginning."""


class EncoderFailed(KinstreamError):
    """The encoder cannot encode what it was given."""


class Fenced(KinstreamError):
    """Stop writing: another instance was given a later term, and leads now."""


class StoreLost(KinstreamError):
    """The store is not what we left: take a new term, and publish everything again under it."""
