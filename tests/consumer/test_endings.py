"""The root command, how commands end, and ``run``."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
import structlog
import typer

from consumer import app as wiring
from consumer.commands.logs import configure_logs
from consumer.config import Settings
from consumer.errors import ServerUnavailable, TopicRecreated
from producer.errors import ProducerError, ServerUnreachable

COMMANDS = ("run", "neighbours", "search", "dump", "verify", "generations", "promote", "doctor")

Kinstream = Callable[..., Any]


def test_help_and_version(kinstream: Kinstream) -> None:
    listed = kinstream("--help")
    assert listed.code == 0
    assert all(f"  {command} " in listed.out for command in (*COMMANDS, "publish", "replay"))
    assert kinstream("--version").out == "kinstream 0.1.0\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example(kinstream: Kinstream, command: str) -> None:
    assert f"Example: kinstream {command}" in kinstream(command, "--help").out


def test_help_waits_for_nothing_heavy() -> None:
    heavy = "numba", "onnxruntime", "hnswlib", "tokenizers", "redis", "numpy", "pydantic_settings", "httpx2"
    program = f"import sys, consumer.__main__ as m; m.build_app(); print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope"], "nope"),
        (["--nope"], "--nope"),
        (["neighbours"], "ID"),
        (["neighbours", "a", "-k", "0"], "-k"),
        (["search"], "give TEXT"),
        (["search", "--image", "/no/such/file"], "/no/such/file"),
        (["verify", "--redis", "http://x"], "KINSTREAM_REDIS='http://x'"),
        (["dump", "x.npz", "--metrics-port", "70000"], "KINSTREAM_METRICS_PORT='70000'"),
        (["run"], "KINSTREAM_DIM"),
    ],
)
def test_wrong_usage_ends_with_2_in_one_line(kinstream: Kinstream, arguments: list[str], said: str) -> None:
    ended = kinstream(*arguments)
    assert ended.code == 2
    assert said.lower() in ended.err.lower()
    assert ended.err.startswith("kinstream: ")
    assert ended.err.count("\n") == 1
    assert ended.out == ""


@pytest.mark.parametrize("arguments", [["neighbours", "a"], ["promote", "g2"], ["generations"]])
def test_a_server_that_is_down_ends_with_3(kinstream: Kinstream, closed_port: int, arguments: list[str]) -> None:
    ended = kinstream(*arguments, "--redis", f"redis://:secret@127.0.0.1:{closed_port}/0")
    assert ended.code == 3
    assert f"redis://:***@127.0.0.1:{closed_port}/0" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ServerUnavailable("down"), 3, "kinstream: down\n"),
        (ServerUnreachable("down"), 3, "kinstream: down\n"),
        (ProducerError("two\nlines"), 1, "kinstream: two lines\n"),
        (ZeroDivisionError("odd"), 1, "kinstream: unexpected ZeroDivisionError: odd\n"),
        (typer.Abort(), 1, "kinstream: aborted\n"),
    ],
)
def test_every_error_is_one_line(
    kinstream: Kinstream, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, line: str
) -> None:
    monkeypatch.setattr("consumer.client.find_export", _raiser(error))
    assert kinstream("dump", "x.npz") == (code, "", line)


def test_run_hands_its_options_on(kinstream: Kinstream, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []

    class Service:
        def run(self) -> None:
            seen.append(seen[0])
            if len(seen) == 2:
                raise TopicRecreated("the topic is another one")

    def build(settings: Settings, *, bootstrap: bool) -> Service:
        assert bootstrap
        seen.append(settings)
        return Service()

    monkeypatch.setattr(wiring, "build_service", build)
    monkeypatch.setenv("KINSTREAM_K", "7")
    monkeypatch.setenv("KINSTREAM_BATCH", "9")
    options = ["--dim", "3", "--k", "5", "--index", "exact", "--linger-ms", "1.5", "--fact-attributes", "old, promo"]
    assert kinstream("run", "--bootstrap", *options).code == 0
    assert len(seen) == 4
    assert (seen[0].dim, seen[0].k, seen[0].batch, seen[0].index, seen[0].linger_ms) == (3, 5, 9, "exact", 1.5)
    assert seen[0].fact_attributes == {"old", "promo"}


def test_run_logs_what_nobody_expected(kinstream: Kinstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "build_service", _raiser(ZeroDivisionError("odd")))
    with structlog.testing.capture_logs() as logs:
        ended = kinstream("run", "--dim", "3")
    assert ended == (1, "", "kinstream: unexpected ZeroDivisionError: odd\n")
    assert [(entry["log_level"], type(entry["exc_info"])) for entry in logs] == [("error", ZeroDivisionError)]


@pytest.fixture
def logs_restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("logs_restored")
def test_logs_are_one_json_object_a_line() -> None:
    stream = StringIO()
    configure_logs(stream)
    structlog.get_logger("ours").info("batch", events=3)
    structlog.get_logger("ours").debug("not shown")
    logging.getLogger("theirs").warning("slow %s", "disk")
    try:
        raise ValueError("odd")
    except ValueError as error:
        structlog.get_logger("ours").error("failed", exc_info=error)
    first, second, third = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["events"], first["level"]) == ("batch", 3, "info")
    assert (second["event"], second["level"]) == ("slow disk", "warning")
    assert third["exception"][0]["exc_value"] == "odd"


def _raiser(error: Exception) -> Callable[..., Any]:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise error

    return fail
