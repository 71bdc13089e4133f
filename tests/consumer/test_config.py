"""Settings: errors name the setting, secrets stay hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumer.config import SettingsError, load_settings, masked
from consumer.errors import KinstreamError
from consumer.snapshot import check_folder


@pytest.mark.parametrize(
    "url",
    [
        "redis://:geheim@host:1/0", "redis://user:geheim@host:1", "redis://:ge@heim@host", "admin:geheim@host:1",
        "redis://:ge/heim@host", "rediss://host?password=geheim", "rediss://host/0?ssl=1&PASSWORD=geheim&x=1",
    ],
)  # fmt: skip
def test_secrets_never_show(url: str) -> None:
    shown = masked(url)
    assert "geheim" not in shown
    assert "heim" not in shown
    assert "host" in shown


def test_urls_without_secrets_show_as_they_are() -> None:
    assert masked("redis://127.0.0.1:6379/0") == "redis://127.0.0.1:6379/0"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("K", "abc", "KINSTREAM_K='abc'"),
        ("K", "0", "greater than or equal to 1"),
        ("KAFKA", "nowhere", "host:port"),
        ("INDEX", "magic", "'hnsw'"),
        ("METRICS_HOST", "http://here", "address or name of this machine"),
        ("REDIS", "admin:geheim@host:1", "redis://"),
    ],
)
def test_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    monkeypatch.setenv(f"KINSTREAM_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert told in str(caught.value)
    assert f"KINSTREAM_{name}" in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_options_win_and_lists_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINSTREAM_K", "5")
    monkeypatch.setenv("KINSTREAM_FACT_ATTRIBUTES", "promo, old_price,")
    settings = load_settings(k=7, slack=None)
    assert (settings.k, settings.slack, settings.fact_attributes) == (7, 20, frozenset({"promo", "old_price"}))


def test_secrets_are_not_in_the_repr() -> None:
    assert "geheim" not in repr(load_settings(redis="redis://:geheim@host:1/0"))


def test_a_state_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    check_folder(tmp_path / "new" / "state")
    (tmp_path / "file").write_text("")
    with pytest.raises(KinstreamError, match="KINSTREAM_STATE"):
        check_folder(tmp_path / "file" / "state")
