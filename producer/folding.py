"""Partial changes folded into full state, on disk, so that a restart does not forget.

A change is a JSON merge patch (RFC 7386): what it names is replaced, null removes, objects are merged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from producer.errors import ProducerError
from producer.events import Product, product_from

COMMIT_EVERY = 1000
"""Changes held in one transaction; a crash loses at most these, and sending them again does no harm."""


class FoldStore:
    """The last full state of every product, by id; a context manager."""

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            ProducerError: it cannot be opened, or is something else.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("CREATE TABLE IF NOT EXISTS product (id TEXT PRIMARY KEY, state BLOB) WITHOUT ROWID")
            self._database.execute("BEGIN")
        except (OSError, sqlite3.Error) as error:
            raise ProducerError(f"{path} cannot be used to remember products: {error}") from error
        self._changes = 0

    def upsert(self, id: str, patch: Mapping[str, Any]) -> Product:
        """Fold a change in and return the full state.

        Raises:
            BadEvent: the result is not a valid product; the state stays as it was.
        """
        row = self._database.execute("SELECT state FROM product WHERE id = ?", (id,)).fetchone()
        state = merged(msgspec.json.decode(row[0]) if row else {}, {**patch, "id": id})
        product = product_from(state, None)
        self._write("REPLACE INTO product VALUES (?, ?)", (id, msgspec.json.encode(state)))
        return product

    def delete(self, id: str) -> None:
        """Forget a product: the next change of this id starts anew."""
        self._write("DELETE FROM product WHERE id = ?", (id,))

    def __len__(self) -> int:
        (number,) = self._database.execute("SELECT count(*) FROM product").fetchone()
        return int(number)

    def __enter__(self) -> FoldStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.execute("COMMIT")
        self._database.close()

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        self._database.execute(statement, values)
        self._changes += 1
        if self._changes % COMMIT_EVERY == 0:
            self._database.execute("COMMIT")
            self._database.execute("BEGIN")


def merged(state: Any, patch: Any) -> Any:
    """RFC 7386: the state with the patch applied."""
    if not isinstance(patch, dict):
        return patch
    result = dict(state) if isinstance(state, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
