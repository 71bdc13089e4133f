"""What is installed is what is here, and nothing more than it should be."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest


@pytest.mark.parametrize("name", ["consumer", "producer", "model"])
def test_each_package_is_the_one_of_this_repository(name: str, repo_root: Path) -> None:
    """The names are common; another distribution must not have taken one."""
    found = importlib.import_module(name).__file__
    assert found is not None
    assert Path(found).parent == repo_root / name


def test_serving_imports_neither_torch_nor_onnx() -> None:
    script = "import sys, consumer.app, producer.commands; print({'torch', 'onnx', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_help_loads_nothing_heavy() -> None:
    script = "import sys, consumer.__main__; print({'numba', 'onnxruntime', 'hnswlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("lock", ["serving", "dev", "gpu", "train", "demo"])
def test_locks_are_hashed_and_name_no_index(lock: str, repo_root: Path) -> None:
    text = (repo_root / "requirements" / f"{lock}.txt").read_text()
    pinned = re.findall(r"^([a-z0-9-]+(?:\[[a-z,]+\])?)==", text, re.MULTILINE)
    assert len(pinned) >= 1
    assert all(f"{name}==" in text and "--hash=sha256:" in text.split(f"{name}==")[1][:400] for name in pinned)
    assert "://" not in text


def test_the_gpu_lock_holds_one_onnxruntime(repo_root: Path) -> None:
    pinned = re.findall(r"^(onnxruntime[a-z-]*)==", (repo_root / "requirements" / "gpu.txt").read_text(), re.MULTILINE)
    assert pinned == ["onnxruntime-gpu"]


def test_every_dependency_is_locked(repo_root: Path) -> None:
    project = tomllib.loads((repo_root / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[\[>=<]", requirement)[0] for requirement in project["dependencies"]}
    locked = set(re.findall(r"^([a-z0-9-]+)==", (repo_root / "requirements" / "serving.txt").read_text(), re.MULTILINE))
    assert names <= locked
