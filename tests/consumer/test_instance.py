"""The instance id: the same after a crash, never the same for two."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consumer import instance
from consumer.instance import Instance

HOLD = """
import sys
from pathlib import Path
from consumer.instance import Instance
held = Instance(Path(sys.argv[1]), "g1")
print(held.id, flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(state: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A process that holds its id until it is killed."""
    command = [sys.executable, "-c", HOLD, str(state)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def made(state: Path, generation: str = "g1") -> str:
    """The id of a process that ends at once."""
    own = Instance(state, generation)
    own.close()
    return own.id


def test_it_outlives_the_process(tmp_path: Path) -> None:
    first = made(tmp_path)
    assert made(tmp_path) == first
    assert first.startswith(socket.gethostname())


def test_a_killed_process_leaves_its_id_to_the_next(tmp_path: Path) -> None:
    with another_process(tmp_path) as (id, process):
        assert made(tmp_path) != id
        process.kill()
        process.wait()
        assert made(tmp_path) == id


def test_two_at_once_have_two(tmp_path: Path) -> None:
    first, second, third = (Instance(tmp_path, "g1") for _ in range(3))
    assert len({first.id, second.id, third.id}) == 3
    for each in (first, second, third):
        each.close()
    assert made(tmp_path) == first.id


def test_each_generation_has_its_own(tmp_path: Path) -> None:
    assert made(tmp_path, "g1") != made(tmp_path, "g2")


@pytest.mark.parametrize("content", [b"", b"short", b"\xff\x00" * 16, b"x" * 1000])
def test_a_damaged_file_is_written_anew(tmp_path: Path, content: bytes) -> None:
    first = made(tmp_path)
    (tmp_path / "g1" / "instance").write_bytes(content)
    second = made(tmp_path)
    assert second != first
    assert made(tmp_path) == second


def test_without_a_file_it_is_fresh(tmp_path: Path) -> None:
    (tmp_path / "g1").write_text("not a folder")
    assert made(tmp_path) != made(tmp_path)


def test_another_machine_with_a_copy_of_the_folder_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made(tmp_path)
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    assert made(tmp_path) != first
    monkeypatch.undo()
    monkeypatch.setattr(instance, "BOOT", tmp_path / "not there")
    assert made(tmp_path) != first
    monkeypatch.undo()
    assert made(tmp_path) == first
