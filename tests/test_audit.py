"""The audit of the locked packages: what fails it, what does not, and that silence is no consent."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

KNOWN = {"name": "pillow", "version": "9.0", "vulns": []}
SKIPPED = {"name": "numpy", "skip_reason": "not found"}
HOLE = {"id": "PYSEC-1", "fix_versions": ["9.1"], "aliases": ["CVE-2022-1"], "description": "long"}


@pytest.fixture
def audit(repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", repo_root / "ops" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "audit", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "IGNORED", tmp_path / "ignored.txt")
    (tmp_path / "ignored.txt").write_text("# none\n\n")
    return module


def answers(monkeypatch: pytest.MonkeyPatch, audit: ModuleType, **reports: list[dict[str, Any]] | None) -> None:
    """What pip-audit writes for each service; None is a crash for want of a network."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        packages = reports[command[command.index("-s") + 1]]
        text = "Traceback" if packages is None else json.dumps({"dependencies": packages, "fixes": []})
        return subprocess.CompletedProcess(command, 1, text, "")

    monkeypatch.setattr(audit.subprocess, "run", run)


def test_sound_packages_pass(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(monkeypatch, audit, pypi=[KNOWN])
    assert audit.main() == 0
    assert capsys.readouterr().err == ""


def test_a_finding_fails_and_names_the_remedy(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(monkeypatch, audit, pypi=[KNOWN | {"vulns": [HOLE]}, SKIPPED])
    assert audit.main() == 1
    told = capsys.readouterr().err
    assert "pillow 9.0: PYSEC-1 (CVE-2022-1); upgrade to 9.1" in told
    assert "knows 1 of 2 packages" in told


def test_what_is_ignored_with_a_reason_passes(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(monkeypatch, audit, pypi=[KNOWN | {"vulns": [HOLE]}])
    audit.IGNORED.write_text("PYSEC-1 we do not open such files\nPYSEC-2 gone by now\n")
    assert audit.main() == 0
    assert "PYSEC-2, which is no longer found" in capsys.readouterr().err


def test_ignoring_needs_a_reason(audit: ModuleType) -> None:
    audit.IGNORED.write_text("PYSEC-1\n")
    with pytest.raises(SystemExit, match="PYSEC-1 has no reason"):
        audit.main()


def test_the_second_service_is_asked_when_the_first_knows_nothing(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, audit, pypi=[SKIPPED], osv=[KNOWN | {"vulns": [HOLE]}])
    assert audit.main() == 1


@pytest.mark.parametrize("silence", [None, [SKIPPED]])
def test_silence_is_said_out_loud_and_does_not_fail(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], silence: Any
) -> None:
    answers(monkeypatch, audit, pypi=silence, osv=silence)
    assert audit.main() == 0
    assert "NOT AUDITED" in capsys.readouterr().err


def test_the_audited_lock_has_everything_that_serving_has(repo_root: Path) -> None:
    serving, dev = (pinned(repo_root / "requirements" / f"{name}.txt") for name in ("serving", "dev"))
    assert serving
    assert serving <= dev


def pinned(lock: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?(==[^ ;]+)", lock.read_text(), re.MULTILINE))


def test_the_ignored_ones_have_reasons(audit: ModuleType, repo_root: Path) -> None:
    audit.read_ignored(repo_root / "requirements" / "audit-ignore.txt")
