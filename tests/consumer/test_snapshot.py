"""Snapshots on disk: complete and sound, or not used."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer import snapshot
from consumer.errors import KinstreamError
from consumer.hnsw import HnswIndex
from consumer.snapshot_folder import UNFINISHED, snapshots_in, unfinished
from consumer.types import Export
from producer.events import Product

Skipped = list[tuple[Path, str]]


def anything(manifest: snapshot.Manifest) -> None:
    """Fits."""


def find(folder: Path, fits: snapshot.Fits = anything) -> tuple[snapshot.Snapshot | None, Skipped]:
    """The newest that fits, and which were skipped."""
    skipped: Skipped = []
    return snapshot.newest(folder, "g1", fits, lambda path, reason: skipped.append((path, reason))), skipped


@pytest.fixture
def saved(state: Any, export: Export) -> Any:
    return state(export)


def test_what_was_written_is_read_back(saved: Any, tmp_path: Path) -> None:
    path = saved.save(tmp_path, now=1234.5)
    found, skipped = find(tmp_path)
    assert found is not None
    assert skipped == []
    assert (found.path, found.created_at, found.made, found.place) == (path, 1234.5, saved.made, saved.place)
    assert found.nbytes == sum(file.stat().st_size for file in path.iterdir() if file.name != "manifest.json")
    assert found.manifest.products == 4
    restored = saved.empty()
    snapshot.restore(found, restored.catalogue, restored.graph)
    assert dict(restored.catalogue.items()) == dict(saved.catalogue.items())
    assert restored.catalogue.unavailable == 1
    assert restored.catalogue.card("b") == {"title": "Title b", "available": "true", "price": "1"}
    slots = saved.catalogue.slots()
    for before, after in zip(saved.graph.best(slots), restored.graph.best(slots), strict=True):
        assert np.array_equal(before, after)
    found.close()


def test_slots_that_were_free_are_given_out_again(saved: Any, tmp_path: Path) -> None:
    gone = saved.catalogue.pop("b")
    saved.graph.apply(*(np.array(part, np.int32) for part in ([gone.slot], [], [], [])), np.empty((0, 2), np.float32))
    saved.save(tmp_path)
    found, _ = find(tmp_path)
    assert found is not None
    restored = saved.empty()
    snapshot.restore(found, restored.catalogue, restored.graph)
    found.close()
    with pytest.raises(KeyError, match="1"):
        restored.catalogue.id_of(1)
    restored.put("new", 9)
    assert restored.catalogue.id_of(1) == "new"
    restored.put("newer", 10)
    assert restored.catalogue.id_of(4) == "newer"


def test_products_that_wait_for_an_image_are_kept(saved: Any, tmp_path: Path) -> None:
    waiting = [Product(id="a", title="A", image="https://shop/a.jpg", attributes={"sizes": ["S", "M"]}, price=2.5)]
    snapshot.write(tmp_path, saved.made, saved.place, saved.catalogue, saved.graph, 1.0, waiting)
    found, _ = find(tmp_path)
    assert found is not None
    assert found.waiting() == waiting
    found.close()


def test_the_export_of_a_snapshot(saved: Any, export: Export, tmp_path: Path) -> None:
    saved.save(tmp_path)
    found, _ = find(tmp_path)
    assert found is not None
    exported = found.export()
    found.close()
    assert (exported.generation, exported.ids) == (export.generation, export.ids)
    assert np.array_equal(exported.vectors, export.vectors)
    assert np.array_equal(exported.available, export.available)


@pytest.fixture
def snapshot_folder(saved: Any, state: Any, export: Export, tmp_path: Path) -> Path:
    with_index = state(export, HnswIndex(2))
    path: Path = with_index.save(tmp_path)
    assert len(list(path.iterdir())) == 15
    return path


def refusal(path: Path) -> str:
    with pytest.raises(KinstreamError) as refused:
        snapshot.Snapshot(path, anything)
    return str(refused.value)


def test_any_flipped_bit_is_found(snapshot_folder: Path) -> None:
    @settings(max_examples=300)
    @given(data=st.data())
    def flip(data: st.DataObject) -> None:
        file = data.draw(st.sampled_from(sorted(snapshot_folder.iterdir())))
        whole = file.read_bytes()
        at = data.draw(st.integers(0, len(whole) - 1))
        flipped = bytearray(whole)
        flipped[at] ^= 1 << data.draw(st.integers(0, 7))
        file.write_bytes(flipped)
        try:
            refusal(snapshot_folder)
        finally:
            file.write_bytes(whole)

    flip()
    snapshot.Snapshot(snapshot_folder, anything).close()


def test_every_truncated_missing_or_further_file_is_found(snapshot_folder: Path) -> None:
    for file in sorted(snapshot_folder.iterdir()):
        whole = file.read_bytes()
        file.write_bytes(whole[:-1])
        assert "damaged" in refusal(snapshot_folder)
        file.unlink()
        assert file.name in refusal(snapshot_folder)
        file.write_bytes(whole)
    (snapshot_folder / "more").write_bytes(b"")
    assert "more" in refusal(snapshot_folder)


def test_a_manifest_of_other_making_is_refused(snapshot_folder: Path) -> None:
    for text in (b"", b"null", b"{}", b'{"checksum": "", "snapshot": {}}', b"\xff", b"[1]"):
        (snapshot_folder / "manifest.json").write_bytes(text)
        assert "manifest.json is damaged" in refusal(snapshot_folder)


def test_a_later_format_is_refused_by_name(saved: Any, tmp_path: Path) -> None:
    older, newer = saved.save(tmp_path), saved.save(tmp_path)
    raw = msgspec.json.encode({"format": 3, "what": "nobody knows"})
    sealed = {"checksum": xxhash.xxh3_128_hexdigest(raw), "snapshot": msgspec.Raw(raw)}
    (newer / "manifest.json").write_bytes(msgspec.json.encode(sealed))
    found, skipped = find(tmp_path)
    assert found is not None
    found.close()
    assert found.path == older
    assert [path for path, _ in skipped] == [newer]
    assert "snapshot format 3, this version reads 1 to 2" in skipped[0][1]


def test_the_older_one_is_used_when_the_newest_is_damaged(
    saved: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older, newer = saved.save(tmp_path), saved.save(tmp_path)
    (newer / "near.npy").write_bytes(b"")
    found = snapshot.newest(tmp_path, "g1", anything)
    assert found is not None
    found.close()
    assert found.path == older
    told = capsys.readouterr().out
    assert str(newer) in told
    assert "near.npy is damaged" in told
    (older / "near.npy").unlink()
    assert find(tmp_path)[0] is None


def test_only_what_fits_is_used(saved: Any, tmp_path: Path) -> None:
    path = saved.save(tmp_path)
    wanted = msgspec.structs.replace(saved.made, slack=5)
    found, skipped = find(tmp_path, lambda manifest: manifest.made.difference(wanted))
    assert found is None
    assert skipped == [(path, "it was made with slack 3, now it is 5")]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"slack": 4}, "it was made with slack 3, now it is 4"),
        ({"index": "hnsw"}, "it was made with index 'exact', now it is 'hnsw'"),
        ({"fact_attributes": []}, "it was made with fact_attributes ['promotion'], now it is []"),
        ({"digest": "x"}, "it was made with digest 'abc', now it is 'x'"),
        ({"name": "g2"}, "it was made with name 'g1', now it is 'g2'"),
        ({"model": "two"}, "it was made with model 'one', now it is 'two'"),
        ({"dim": 3}, "it was made with dim 2, now it is 3"),
        ({"k": 3}, "it was made with k 2, now it is 3"),
        ({"metric": "euclidean"}, "it was made with metric 'cosine', now it is 'euclidean'"),
        ({"products": 9, "state": "live", "created_at": 9.0}, None),
    ],
)
def test_what_a_snapshot_was_made_with_must_be_the_same(saved: Any, change: dict[str, Any], told: str | None) -> None:
    of_generation = {name: value for name, value in change.items() if hasattr(saved.made.generation, name)}
    own = {name: value for name, value in change.items() if name not in of_generation}
    generation = msgspec.structs.replace(saved.made.generation, **of_generation)
    other = msgspec.structs.replace(saved.made, generation=generation, **own)
    assert saved.made.difference(other) == told


def test_the_two_newest_are_kept(saved: Any, tmp_path: Path) -> None:
    paths = [saved.save(tmp_path, now=float(number)) for number in range(5)]
    assert snapshots_in(paths[0].parent) == paths[3:]
    assert sorted(paths) == paths


def test_two_sound_ones_are_kept_whatever_is_damaged(saved: Any, tmp_path: Path) -> None:
    first, second, third = (saved.save(tmp_path, now=float(number)) for number in (1, 2, 2))
    (third / "dist.npy").unlink()
    fourth = saved.save(tmp_path, now=3.0)
    assert snapshots_in(first.parent) == [second, third, fourth]
    fifth = saved.save(tmp_path, now=4.0)
    assert snapshots_in(first.parent) == [fourth, fifth]


def test_a_clock_that_went_back_does_not_make_the_new_one_the_oldest(saved: Any, tmp_path: Path) -> None:
    for now in (5000.0, 5001.0, 10.0):
        path = saved.save(tmp_path, now=now)
    found, _ = find(tmp_path)
    assert found is not None
    found.close()
    assert (found.path, found.created_at) == (path, 10.0)


def test_what_dead_writers_left_is_removed_and_what_living_ones_write_is_not(saved: Any, tmp_path: Path) -> None:
    folder = saved.save(tmp_path).parent
    left = folder / f"{UNFINISHED}left"
    left.mkdir()
    (left / "near.npy").write_bytes(b"half")
    with unfinished(folder) as living:
        assert not left.exists()
        saved.save(tmp_path)
        assert living.exists()
    assert not living.exists()
    assert len(snapshots_in(folder)) == 2


def test_a_snapshot_that_is_pruned_can_still_be_read(saved: Any, tmp_path: Path) -> None:
    saved.save(tmp_path)
    found, _ = find(tmp_path)
    assert found is not None
    for _ in range(3):
        saved.save(tmp_path)
    assert not found.path.exists()
    restored = saved.empty()
    snapshot.restore(found, restored.catalogue, restored.graph)
    found.close()
    assert len(restored.catalogue) == 4


def test_the_newest_is_tried_when_one_is_pruned_while_it_is_opened(saved: Any, tmp_path: Path) -> None:
    first = saved.save(tmp_path)
    made: list[Path] = []

    def prune(manifest: snapshot.Manifest) -> str | None:
        if made:
            return None
        made.append(saved.save(tmp_path))
        shutil.rmtree(first)
        return "it went away"

    found, skipped = find(tmp_path, prune)
    assert found is not None
    found.close()
    assert (found.path, skipped) == (made[0], [])


def test_there_is_none(tmp_path: Path) -> None:
    assert find(tmp_path / "nowhere") == (None, [])


@contextmanager
def small_disk(limit: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: what is beyond is refused as by a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("index", [None, HnswIndex])
def test_a_full_disk_leaves_what_was_there(
    state: Any, export: Export, tmp_path: Path, index: Callable[[int], HnswIndex] | None
) -> None:
    """hnswlib writes as much as it can and says nothing."""
    saved = state(export, index and index(2))
    path = saved.save(tmp_path)
    largest = max(file.stat().st_size for file in path.iterdir() if file.name != "manifest.json")
    with small_disk(largest - 1), pytest.raises(KinstreamError, match=r"KINSTREAM_STATE='.*' cannot be written to"):
        saved.save(tmp_path)
    assert list(path.parent.iterdir()) == [path]
    found, skipped = find(tmp_path)
    assert found is not None
    found.close()
    assert (found.path, skipped) == (path, [])


def test_a_folder_that_is_gone_is_made_again(saved: Any, tmp_path: Path) -> None:
    state = tmp_path / "state"
    saved.save(state)
    shutil.rmtree(state)
    assert saved.save(state).exists()


def test_a_state_folder_that_is_no_folder(saved: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        KinstreamError, match=r"cannot be written to \(Not a directory\): free space there, or name another"
    ):
        saved.save(tmp_path / "file")


def test_no_descriptor_is_left_open(saved: Any, tmp_path: Path) -> None:
    saved.save(tmp_path)
    found, _ = find(tmp_path)
    assert found is not None
    assert opened_in(tmp_path)
    found.close()
    found.close()
    damaged = saved.save(tmp_path)
    (damaged / "near.npy").unlink()
    snapshot.newest(tmp_path, "g1", anything)
    assert opened_in(tmp_path) == []


def opened_in(folder: Path) -> list[Path]:
    """What this process holds open there."""
    return [target for target in map(target_of, os.listdir("/proc/self/fd")) if target.is_relative_to(folder)]


def target_of(descriptor: str) -> Path:
    try:
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    except FileNotFoundError:  # that of the listing, or another thread's
        return Path()
