"""Every format and every kind of bad input, with the outcome that the contract asks for."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from producer.events import BadEvent, Deletion, Product, decode_event

GOLDEN = Path(__file__).parents[1] / "golden" / "events"
CASES = [(file.stem, case) for file in sorted(GOLDEN.glob("*.json")) for case in json.loads(file.read_text())]


def record_of(case: dict[str, Any]) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]] | None]:
    key = None if case["key"] is None else case["key"].encode()
    text = case.get("value")
    value = (
        base64.b64decode(case["value_base64"]) if "value_base64" in case else None if text is None else text.encode()
    )
    headers = [(name, content.encode()) for name, content in case.get("headers", {}).items()]
    return key, value, headers or None


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{group}: {case['name']}") for group, case in CASES])
def test_outcome(case: dict[str, Any]) -> None:
    record = record_of(case)
    if "refused" in case:
        with pytest.raises(BadEvent) as refused:
            decode_event(*record)
        assert refused.value.reason == case["refused"]
        assert case["says"] in str(refused.value)
        assert "\n" not in str(refused.value)
    elif "deletion" in case:
        assert decode_event(*record) == Deletion(case["deletion"])
    else:
        assert decode_event(*record) == Product(**case["product"])


def test_every_reason_of_the_contract_is_covered() -> None:
    refused = {case["refused"] for _, case in CASES if "refused" in case}

    assert refused == {
        "BadKey", "InvalidEmbedding", "InvalidProduct", "KeyMismatch", "MissingTitle", "NotJson", "NotUtf8",
        "UnknownFormat",
    }  # fmt: skip
