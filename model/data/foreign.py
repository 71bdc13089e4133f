"""Values as foreign rows hold them: which column of several, texts from lists, prices from texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from producer.columns import Fields

_AMOUNT = re.compile(r"\d[\d,]*(?:\.\d+)?")


def first(row: Fields, names: Sequence[str]) -> Any:
    """The value of the first of these columns that holds anything."""
    return next((row[name] for name in names if row.get(name) not in (None, "", [], {})), None)


def parsed(value: Any) -> Any:
    """A list or an object that was written as JSON text; anything else as it is."""
    if isinstance(value, str) and value[:1] in {"[", "{"}:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def texts(value: Any) -> list[str]:
    """The texts in a value: itself, or those of a list and of the lists within."""
    value = parsed(value)
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [str(value)] if isinstance(value, str | int | float) and str(value).strip() else []


def joined(parts: Iterable[str], separator: str) -> str | None:
    """The parts with the separator between them, without repeats; None where there is none."""
    return separator.join(dict.fromkeys(parts)) or None


def price(value: Any) -> float | None:
    """A number, or the first one in a text such as ``$1,299.00`` or ``from 12.99``; None where there is none."""
    if isinstance(value, bool):
        return None
    found = _AMOUNT.search(str(value))
    return float(found.group().replace(",", "")) if found and not str(value).startswith("-") else None


def known(fields: Fields) -> Fields:
    """The fields that hold something."""
    return {name: value for name, value in fields.items() if value not in (None, "", {})}
