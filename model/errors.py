"""Errors of what makes, trains and reads models."""

from __future__ import annotations


class ModelError(Exception):
    """A command on models cannot go on; one line that names what is wrong, with the remedy."""
