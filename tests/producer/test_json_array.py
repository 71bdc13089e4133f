"""The array reader sees the text through a window; where the window ends must not matter."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer import json_array
from producer.json_array import BrokenArray, elements

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(JSON, max_size=8), st.integers(1, 20), st.sampled_from([None, 1]))
def test_any_array_through_any_window(array: list[Any], chunk: int, indent: int | None) -> None:
    text = json.dumps(array, indent=indent)

    found = list(elements(io.StringIO(text), chunk))

    assert [json.loads(element) for _, element in found] == array
    assert [line for line, _ in found] == sorted(line for line, _ in found)


def test_lines_are_counted_across_windows() -> None:
    text = '[\n{"a":\n1},\n\n2,3\n]'

    assert [line for line, _ in elements(io.StringIO(text), 1)] == [2, 5, 5]


class Endless(io.StringIO):
    """An array whose first string never ends; counts what was asked of it."""

    asked = 0

    def read(self, size: int | None = -1, /) -> str:
        assert size is not None
        self.asked += size
        return '["' + "x" * (size - 2) if self.asked == size else "x" * size


def test_an_element_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_array, "LARGEST_ELEMENT", 1000)
    endless = Endless()

    with pytest.raises(BrokenArray):
        list(elements(endless, 100))

    assert endless.asked < 5000
