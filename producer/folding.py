"""Partial changes folded into full state, on disk, so that a restart does not forget.

A change is a JSON merge patch (RFC 7386): what it names is replaced, null removes, objects are merged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from producer.changes import Change
from producer.errors import ProducerError
from producer.product import Deletion, Product, checked_id, product_from
from producer.refusals import BadEvent, short

SET_UP = (
    "PRAGMA journal_mode=WAL",
    # In WAL mode the file stays whole whatever happens; only a power cut can lose the last changes, not a crash.
    "PRAGMA synchronous=NORMAL",
    "CREATE TABLE IF NOT EXISTS product (id TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID",
)


class FoldStore:
    """The last full state of every product, by id; a context manager.

    Each change is kept before it is returned. Sending a change again that was folded already does no harm.
    """

    def __init__(self, path: Path, keep: bool = True) -> None:
        """Open or create the file.

        Args:
            path: the file; its folder is made when it is missing.
            keep: False forgets at the end what was folded, for trying out.

        Raises:
            ProducerError: it cannot be opened, or is something else.
        """
        self._path = path
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None)
            for statement in SET_UP if keep else (*SET_UP, "BEGIN"):
                self._database.execute(statement)

    def apply(self, change: Change) -> Product | Deletion:
        """Fold a recorded change in.

        Raises:
            BadEvent: the result is not a valid product; the state stays as it was.
        """
        if change.op == "upsert":
            return self.upsert(change.id, change.fields)
        self.delete(change.id)
        return Deletion(change.id)

    def upsert(self, id: str, patch: Mapping[str, Any]) -> Product:
        """Fold a change in and return the full state.

        Raises:
            BadEvent: the result is not a valid product; the state stays as it was.
            ProducerError: the file cannot be read or written.
        """
        state = self._merged(checked_id(id, None), patch)
        product = product_from(state, None)
        with self._explained():
            self._database.execute("REPLACE INTO product VALUES (?, ?)", (id, msgspec.json.encode(state)))
        return product

    def delete(self, id: str) -> None:
        """Forget a product: the next change of this id starts anew."""
        with self._explained():
            self._database.execute("DELETE FROM product WHERE id = ?", (id,))

    def __len__(self) -> int:
        (number,) = self._database.execute("SELECT count(*) FROM product").fetchone()
        return int(number)

    def __enter__(self) -> FoldStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._explained(), closing(self._database):
            pass

    def _merged(self, id: str, patch: Mapping[str, Any]) -> Any:
        with self._explained():
            row = self._database.execute("SELECT state FROM product WHERE id = ?", (id,)).fetchone()
        try:
            return merged(msgspec.json.decode(row[0]) if row else {}, {**patch, "id": id})
        except RecursionError:
            raise BadEvent("InvalidProduct", f"change of {short(id)} is nested too deeply: flatten it") from None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error, UnicodeEncodeError) as error:
            raise ProducerError(
                f"{self._path} cannot be used to remember products ({error}): free or remove it, or name another folder"
            ) from error


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
