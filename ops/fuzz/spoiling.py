"""Ways to spoil an event. Each says whether what comes out breaks a rule for certain, or only maybe."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, Final

from samples import Draft, Event, Fields, written

MIB: Final = 1024 * 1024
JUNK: Final[list[Any]] = [None, True, 0, -1, 1.5, 2**63, "", "x", [], {}, [None], {"id": 5}, float("nan")]
WRONG: Final[dict[str, list[Any]]] = {
    "id": [5, None, "", [], {}, True, "\0", "a\0b"],
    "title": [5, [], {}, True],
    "price": ["5", [], {}, True, -1, -1e-9],
    "currency": ["eur", "EURO", "", 5, []],
    "image": [5, [], {}],
    "attributes": [[], "x", 5, {"a": {}}, {"a": [1]}, {"a": [[]]}, {"a": [None]}],
    "available": ["true", 1, 0, [], {}],
    "version": ["5", 1.5, [], {}, 2**63, -(2**63) - 1],
    "updated_at": ["yesterday", 5, "2026-01-31", "2026-01-31T12:00:00", "2026-13-01T00:00:00Z"],
    "embedding": ["x", {}, [], ["1"] * 8, [None] * 8, [[1.0]] * 8, [True] * 8, [0.0] * 8, [1e-40] * 8, [1e39] * 8],
}
"""Values that break the rule of their field."""
INFINITE: Final = [float("nan"), float("inf"), float("-inf"), "@huge@"]


def _wrong_value(random: Random, product: Fields) -> None:
    name = random.choice(list(WRONG))
    product[name] = random.choice(WRONG[name])


def _any_value(random: Random, product: Fields) -> None:
    product[random.choice([*product, "new", "op", "payload", "specversion"])] = random.choice(JUNK)


def _not_finite(random: Random, product: Fields) -> None:
    number = random.choice(INFINITE)
    product.update(random.choice([{"price": number}, {"embedding": [1, number]}, {"attributes": {"a": number}}]))


def _huge_number(random: Random, product: Fields) -> None:
    product.update(random.choice([{"price": 10**400}, {"version": 10**30}, {"embedding": [10**39] * 8}]))


def _other_length(random: Random, product: Fields) -> None:
    product["embedding"] = [1.0] * random.choice([1, 7, 9, 4096])


def _deep(random: Random, product: Fields) -> None:
    """Written as text: json.dumps itself would give up."""
    product["stock"] = f"@deep{random.choice([10, 500, 2000, 100_000])}@"


def _surrogate(random: Random, product: Fields) -> None:
    name = random.choice(["title", "brand", "updated_at", "id"])
    product[name] = random.choice(["\ud800", "x\udfff", "\ude00\ud83d"])


def _control(random: Random, product: Fields) -> None:
    product[random.choice(["title", "description", "image"])] = "".join(map(chr, random.sample(range(32), 9)))


def _oversize(random: Random, product: Fields) -> None:
    product[random.choice(["description", "unknown"])] = "x" * (MIB + random.randrange(9))


def _unknown(random: Random, product: Fields) -> None:
    product.update({"unknown": random.choice(JUNK[:-1]), "ts": 1, "Title": "y"})


def _bare(random: Random, product: Fields) -> None:
    for name in ("title", "image", "embedding"):
        product.pop(name, None)


def _nothing_but_an_image(random: Random, product: Fields) -> None:
    product.update({"title": random.choice([None, "", " <b></b> "]), "image": "x.png", "embedding": None})


def _long_id(random: Random, product: Fields) -> None:
    product["id"] = "ü" * random.choice([257, 5000])


PRODUCT: Final[dict[str, tuple[Callable[[Random, Fields], None], bool]]] = {
    "wrong value": (_wrong_value, True), "any value": (_any_value, False), "NaN or infinity": (_not_finite, True),
    "huge number": (_huge_number, True), "embedding of another length": (_other_length, False),
    "deep nesting": (_deep, False), "lone surrogate": (_surrogate, True), "control characters": (_control, False),
    "over 1 MiB": (_oversize, True), "unknown fields": (_unknown, False), "nothing said": (_bare, True),
    "only an image": (_nothing_but_an_image, False), "long id": (_long_id, True),
}  # fmt: skip
"""Done to the product before it is put into its format."""


def _cut(random: Random, value: bytes) -> bytes:
    return value[: random.randrange(len(value))]


def _flip(random: Random, value: bytes) -> bytes:
    flipped = bytearray(value)
    for _ in range(random.choice([1, 1, 3, 20])):
        flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
    return bytes(flipped)


def _no_utf8(random: Random, value: bytes) -> bytes:
    at = random.randrange(len(value))
    return value[:at] + random.choice([b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5"]) + value[at:]


def _twice(random: Random, value: bytes) -> bytes:
    doubled = random.choice([b'"id":"other",', b'"title":5,', b'"embedding":[0],', b'"op":"d",', b'"payload":{},'])
    return value.replace(b"{", b"{" + doubled, random.choice([1, 2]))


def _swapped(random: Random, value: bytes) -> bytes:
    fields = json.loads(value)
    fields[random.choice([*fields, "op", "payload", "specversion", "data", "after"])] = random.choice(JUNK)
    return json.dumps(fields).encode()


def _trailing(random: Random, value: bytes) -> bytes:
    return value + random.choice([b"x", b"{}", b"\0", b"]"])


def _noise(random: Random, value: bytes) -> bytes:
    bytes_of_any_kind = random.randbytes(random.randrange(200))
    return random.choice([bytes_of_any_kind, b"\xef\xbb\xbf" + value, value.decode().encode("utf-16")])


def _no_object(random: Random, value: bytes) -> bytes:
    return random.choice([b"", b" ", b"null", b"[]", b"5", b'"x"', b"{}", b"[{}]", b"{", b"\0"])


VALUE: Final[dict[str, tuple[Callable[[Random, bytes], bytes], bool]]] = {
    "cut off": (_cut, True), "flipped bits": (_flip, False), "not UTF-8": (_no_utf8, True),
    "a key twice": (_twice, False), "a swapped field of the envelope": (_swapped, False),
    "something behind": (_trailing, True), "noise": (_noise, False), "no object": (_no_object, True),
}  # fmt: skip
"""Done to the bytes of the value."""
BROKEN_KEYS: Final = [b"", b"\xff", b"k" * 513]
OTHER_KEYS: Final = [b"other", b'{"id":5}', b"{", b'{"payload":{"id":"other"}}']


def _other_key(random: Random, event: Event) -> tuple[Event, bool]:
    """A null value with another key deletes another product."""
    key = random.choice([*BROKEN_KEYS, *OTHER_KEYS])
    return replace(event, key=key), key in BROKEN_KEYS or event.value is not None


def _other_headers(random: Random, event: Event) -> tuple[Event, bool]:
    headers: list[tuple[str, Any]] = list(event.headers or [("ce_specversion", b"1.0"), ("ce_type", b"x.upserted")])
    at = random.randrange(len(headers))
    headers[at] = (headers[at][0], random.choice([None, b"", b"\xff", b"2.0", b"x.deleted", random.randbytes(9)]))
    chosen = random.choice([headers, headers[:at], headers * 2, [("CE_SPECVERSION", b"1.0")]])
    return replace(event, headers=chosen), False


def spoilt(random: Random, draft: Draft) -> Event:
    """The draft, written down and spoilt in one way."""
    ways: list[str] = ["other key", "other headers", *(PRODUCT if draft.product is not None else ())]
    if written(draft).value:
        ways += VALUE
    way = random.choice(ways)
    event, refused = _by_name(random, draft, way)
    return replace(event, kind=way, says=None, refused=refused)


def _by_name(random: Random, draft: Draft, way: str) -> tuple[Event, bool]:
    if way == "other key":
        return _other_key(random, written(draft))
    if way == "other headers":
        return _other_headers(random, written(draft))
    if way in VALUE:
        event, (spoil, refused) = written(draft), VALUE[way]
        return replace(event, value=spoil(random, event.value or b"")), refused
    change, refused = PRODUCT[way]
    product: Fields = dict(draft.product or {})
    change(random, product)
    return _with_its_key(replace(draft, product=product)), refused


def _with_its_key(draft: Draft) -> Event:
    """Most of the time the key follows a changed id, so that it is the id itself that is refused."""
    id = (draft.product or {}).get("id")
    event = written(replace(draft, id=id) if isinstance(id, str) and id.isprintable() else draft)
    return replace(event, value=_deepened(event.value or b""))


def _deepened(value: bytes) -> bytes:
    head, mark, rest = value.partition(b'"@deep')
    depth, _, tail = rest.partition(b'@"')
    return head + b"[" * int(depth) + b"]" * int(depth) + tail if mark else value
