"""Cleaning is linear: no text makes it slow."""

from __future__ import annotations

import time

import pytest

from producer.cleaning import PASSES, cleaned

MIB = 1024 * 1024


def filled(*parts: str) -> str:
    text = "".join(parts)
    return text * (MIB // len(text))


@pytest.mark.parametrize(
    "text",
    [
        filled("<script"),
        "<script>x</script>" + filled("<script>"),
        filled("<!--"),
        filled("<a "),
        filled("</script "),
        filled("&"),
        filled("&#3"),
        "&" + filled("amp;"),
        filled("&#38;"),
        filled("a\u200d"),
    ],
    ids=lambda text: text[:12],
)
def test_a_mebibyte_of_half_open_markup_is_cleaned_at_once(text: str) -> None:
    started = time.process_time()
    cleaned(text)

    assert time.process_time() - started < 10, "a quadratic search takes minutes here, a linear one well below a second"


def test_escapes_of_escapes_end() -> None:
    escaped = "<b>"
    for _ in range(PASSES * 2):
        escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    text = cleaned(f"Red {escaped} shoe")

    assert text.startswith("Red amp;")
    assert not set("<>&") & set(text)


def test_plain_text_is_returned_as_it_is() -> None:
    text = "Plain text, 100 % of it"

    assert cleaned(text) is text
    assert cleaned("") == ""
