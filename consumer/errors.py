"""The errors that callers tell apart. Each message is one line that names both sides and the remedy."""

from __future__ import annotations


class KinstreamError(Exception):
    """Ends a command with exit code 1: a check failed, or a thing asked for does not exist."""


class ServerUnavailable(KinstreamError):
    """Slow down and retry: Kafka or Redis does not answer now. A command that cannot wait ends with exit code 3."""


class EncoderFailed(KinstreamError):
    """The encoder cannot encode what it was given."""
