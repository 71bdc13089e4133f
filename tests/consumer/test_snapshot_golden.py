"""Snapshots of every format that was ever released can be read, and give the lists that they gave."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from consumer import snapshot
from consumer.snapshot_manifest import FORMAT

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "snapshot"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """The script that made the snapshots."""
    spec = importlib.util.spec_from_file_location("make_fixture", GOLDEN / "make_fixture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["exact", "hnsw"])
def index(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.mark.parametrize("format", range(1, FORMAT + 1))
def test_every_format_can_be_read(maker: Any, index: str, format: int) -> None:
    golden = GOLDEN / str(format)
    expected = json.loads((golden / f"{index}.json").read_text())
    found = snapshot.Snapshot(golden / index, lambda manifest: manifest.made.difference(maker.made(index)))
    assert (found.created_at, found.place, found.made) == (1_750_000_000.25, maker.PLACE, maker.made(index))
    assert found.waiting() == maker.WAITING
    catalogue, graph = maker.empty(index)
    snapshot.restore(found, catalogue, graph)
    found.close()
    known = catalogue.get("p7")
    assert (known.content, known.facts, known.version) == ((7).to_bytes(16, "big"), 2**63 + 7, 7)
    assert catalogue.card("p7") == {"available": "true", "title": "Product 7", "price": "9.5", "version": "7"}
    assert (len(catalogue), catalogue.unavailable) == (22, 4)
    assert_alike(maker.lists(catalogue, graph), expected["before"])
    maker.arrive(catalogue, graph)
    assert_alike(maker.lists(catalogue, graph), expected["after"])
    assert expected["after"] != expected["before"]


def test_there_is_one_of_every_format() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir() if path.is_dir() and path.name.isdigit()) == [
        str(number) for number in range(1, FORMAT + 1)
    ]


def test_what_is_written_now_is_of_the_newest_format(maker: Any, index: str, tmp_path: Path) -> None:
    """The same files and kinds of arrays; distances are left out, since their last bits depend on the processor."""
    maker.make(index, tmp_path / index)
    golden = GOLDEN / str(FORMAT) / index
    assert described(tmp_path / index) == described(golden)


def described(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in folder.iterdir():
        if path.suffix == ".npy":
            array = np.load(path)
            found[path.name] = (array.dtype.str, array.shape)
        elif path.suffix == ".msgpack":
            found[path.name] = path.read_bytes()
        else:
            found[path.name] = path.stat().st_size
    return found | {"manifest.json": manifest_of(folder)}


def manifest_of(folder: Path) -> dict[str, Any]:
    manifest = json.loads((folder / "manifest.json").read_bytes())["snapshot"]
    return manifest | {"files": sorted(manifest["files"])}


def assert_alike(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for id, named in found.items():
        assert [near for near, _ in named] == [near for near, _ in expected[id]]
        assert [score for _, score in named] == pytest.approx([score for _, score in expected[id]], abs=1e-5)
