"""Which column of a file becomes which field of a product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

ATTRIBUTE = "attributes."

Fields = dict[str, Any]


class Columns(msgspec.Struct, frozen=True):
    """Product field -> column, and attribute -> column; a field without an entry keeps its own name."""

    fields: dict[str, str]
    attributes: dict[str, str]

    def rename(self, row: Fields) -> Fields:
        """A row under the names of the product's fields."""
        if not self.fields and not self.attributes:
            return row
        result = row | {field: row[column] for field, column in self.fields.items() if column in row}
        found = {name: row[column] for name, column in self.attributes.items() if column in row}
        if found:
            given = result.get("attributes")
            result["attributes"] = (given if isinstance(given, dict) else {}) | found
        return result

    def named(self) -> set[str]:
        """The columns that were asked for."""
        return {*self.fields.values(), *self.attributes.values()}


def columns_of(mapping: Mapping[str, str], attributes: Sequence[str]) -> Columns:
    """Columns from a mapping in which ``attributes.NAME`` is an attribute, and columns that are attributes by name."""
    fields = {field: column for field, column in mapping.items() if not field.startswith(ATTRIBUTE)}
    renamed = {field.removeprefix(ATTRIBUTE): mapping[field] for field in mapping if field not in fields}
    return Columns(fields, {name: name for name in attributes} | renamed)
