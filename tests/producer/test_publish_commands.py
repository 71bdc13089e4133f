"""The commands ``publish`` and ``replay``, with a publisher that only writes down what it is given."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import pytest
import typer
from rich.console import Console
from rich.progress import Progress
from typer.testing import CliRunner

from producer import __main__ as program
from producer import commands
from producer.errors import ServerUnreachable
from producer.events import BadEvent, Deletion, Product, encode_product
from producer.sending import Event, Sending


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Written:
    """Stands in for Kafka."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.connected_to: tuple[str, str, Mapping[str, str]] | None = None
        self.flushed = False


class Notebook:
    """A publisher that writes down."""

    def __init__(self, written: Written) -> None:
        self._written = written

    def publish(self, product: Product) -> None:
        encode_product(product)
        self._written.events.append(product)

    def delete(self, id: str) -> None:
        self._written.events.append(Deletion(id))

    def __enter__(self) -> Notebook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._written.flushed = True


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Written:
    for name in [name for name in os.environ if name.startswith("KINSTREAM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    written = Written()

    def connect(bootstrap: str, topic: str, config: Mapping[str, str]) -> Notebook:
        written.connected_to = bootstrap, topic, config
        return Notebook(written)

    monkeypatch.setattr(commands, "Publisher", connect)
    return written


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    commands.register(app)
    return app


Run = Callable[..., Ended]


@pytest.fixture
def run(written: Written, app: typer.Typer) -> Run:
    def run(*arguments: str | Path, stdin: bytes | None = None) -> Ended:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
        assert isinstance(result.exception, SystemExit | None), result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return run


SHOE = Product(id="p1", title="Red shoe", price=59.9)
LINES = b'{"id":"p1","title":"Red shoe","price":59.9}\nbad\n{"id":"p2"}\n{"id":"p3","title":"Sock"}\n'


def file(name: str, content: bytes) -> Path:
    path = Path(name)
    path.write_bytes(content)
    return path


def test_good_lines_are_sent_and_bad_ones_named(run: Run, written: Written) -> None:
    ended = run("publish", file("shop.jsonl", LINES))

    assert ended.code == 1
    assert written.events == [SHOE, Product(id="p3", title="Sock")]
    assert written.flushed
    first, second, summary = ended.err.splitlines()
    assert first.startswith("shop.jsonl:2: NotJson: value=b'bad")
    assert (
        second == "shop.jsonl:3: MissingTitle: title=None says nothing: product 'p2' needs a title, image or embedding"
    )
    assert summary == "2 sent, 2 refused"
    assert ended.out == ""


def test_many_files_and_deletions(run: Run, written: Written) -> None:
    array = file("a.json", b'[{"id":"p1","title":"Red shoe","price":59.9}]')
    table = file("b.csv", b"sku,name,size\np2,Sock,42\n")

    ended = run("publish", array, "--delete", "p8", "--delete", "p9")
    assert ended == Ended(0, "", "3 sent, 0 refused\n")
    assert written.events == [SHOE, Deletion("p8"), Deletion("p9")]

    ended = run("publish", table, "--map", "id=sku", "--map", "title=name", "--attributes", "size")
    assert ended.code == 0
    assert written.events[3:] == [Product(id="p2", title="Sock", attributes={"size": "42"})]


def test_an_attribute_may_be_renamed(run: Run, written: Written) -> None:
    run("publish", file("b.csv", b"id;title;Size\np2;Sock;42\n"), "--map", "attributes.size=Size")

    assert written.events == [Product(id="p2", title="Sock", attributes={"size": "42"})]


def test_standard_input(run: Run, written: Written) -> None:
    assert run("publish", "-", stdin=LINES).code == 1
    assert written.events == [SHOE, Product(id="p3", title="Sock")]


def test_a_dry_run_checks_and_needs_no_broker(run: Run, written: Written) -> None:
    huge = b'{"id":"p4","title":"x","description":"' + b"x" * 1024 * 1024 + b'"}\n'

    ended = run("publish", file("shop.jsonl", LINES + huge), "--dry-run")

    assert ended.code == 1
    assert written.connected_to is None
    assert "shop.jsonl:5: TooLarge" in ended.err
    assert ended.err.splitlines()[-1] == "2 checked, 3 refused"


def test_a_deletion_of_nothing_is_refused(run: Run, written: Written) -> None:
    ended = run("publish", "--delete", "", "--delete", "p1")

    assert ended.code == 1
    assert ended.err.startswith("--delete: InvalidProduct: id is missing")
    assert written.events == [Deletion("p1")]


CHANGES = (
    b'{"ts":0,"op":"upsert","id":"p1","title":"Red shoe","price":59.9}\n'
    b'{"ts":1,"op":"upsert","id":"p1","price":49.9}\n'
    b'{"ts":2,"op":"move","id":"p1"}\n'
    b'{"ts":3,"op":"upsert","id":"p2","price":1}\n'
    b'{"ts":4,"op":"delete","id":"p1"}\n'
)
FOLDED = [SHOE, Product(id="p1", title="Red shoe", price=49.9), Deletion("p1")]


def test_partial_entries_are_folded(run: Run, written: Written) -> None:
    ended = run("publish", "--partial", file("changes.jsonl", CHANGES))

    assert ended.code == 1
    assert written.events == FOLDED
    assert "changes.jsonl:3: UnknownFormat: op='move'" in ended.err
    assert "changes.jsonl:4: MissingTitle" in ended.err


def test_the_next_command_remembers_the_state(run: Run, written: Written) -> None:
    run("publish", "--partial", file("a.jsonl", b'{"id":"p1","title":"Red shoe"}'), "--state", "here")
    run("publish", "--partial", file("b.jsonl", b'{"id":"p1","price":59.9}'), "--state", "here")

    assert written.events == [Product(id="p1", title="Red shoe"), SHOE]
    assert Path("here/folded.sqlite").exists()


def test_a_deletion_forgets_the_state(run: Run, written: Written) -> None:
    run("publish", "--partial", file("a.jsonl", b'{"id":"p1","title":"Red shoe"}'))
    run("publish", "--delete", "p1")

    assert run("publish", "--partial", file("b.jsonl", b'{"id":"p1","price":59.9}')).code == 1
    assert written.events == [Product(id="p1", title="Red shoe"), Deletion("p1")]


def test_a_dry_run_remembers_nothing(run: Run) -> None:
    full, part = file("a.jsonl", b'{"id":"p1","title":"Red shoe"}'), file("b.jsonl", b'{"id":"p1","price":59.9}')

    assert run("publish", "--partial", "--dry-run", full, part).err == "2 checked, 0 refused\n"
    assert run("publish", "--partial", "--dry-run", part).code == 1


def test_without_partial_no_state_is_kept(run: Run) -> None:
    run("publish", file("shop.jsonl", LINES), "--delete", "p9")

    assert not Path("state").exists()


def test_a_recorded_stream_is_replayed(run: Run, written: Written) -> None:
    ended = run("replay", file("changes.jsonl", CHANGES), "--speed", "max")

    assert ended.code == 1
    assert written.events == FOLDED
    assert written.flushed
    assert "changes.jsonl:3: UnknownFormat" in ended.err
    assert "changes.jsonl:4: MissingTitle" in ended.err
    assert ended.err.splitlines()[-1] == "3 sent, 2 refused"


def test_a_replay_may_stop_early(run: Run, written: Written) -> None:
    assert run("replay", file("changes.jsonl", CHANGES), "--speed", "0", "--limit", "2").code == 0
    assert written.events == FOLDED[:2]


def test_settings_come_from_the_environment_and_options_win(
    run: Run, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = file("kafka.properties", b"security.protocol=SSL\n")
    monkeypatch.setenv("KINSTREAM_KAFKA", "a:9092")
    monkeypatch.setenv("KINSTREAM_TOPIC", "shop")
    monkeypatch.setenv("KINSTREAM_KAFKA_CONFIG", str(config))

    run("publish", "--delete", "p1")
    assert written.connected_to is not None
    bootstrap, topic, settings = written.connected_to
    assert (bootstrap, topic, settings["security.protocol"]) == ("a:9092", "shop", "SSL")

    run("publish", "--delete", "p1", "--kafka", "b:9092", "--topic", "other")
    assert written.connected_to[:2] == ("b:9092", "other")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["publish"], "give a FILE"),
        (["publish", "none.jsonl"], "'none.jsonl' is no file"),
        (["publish", "."], "'.' is no file"),
        (["publish", "--delete", "p1", "--rate", "-1"], "rate"),
        (["publish", "--delete", "p1", "--map", "title"], "expected FIELD=COLUMN"),
        (["publish", "--delete", "p1", "--map", "name=title"], "expected FIELD=COLUMN"),
        (["replay"], "FILE"),
        (["replay", "none.jsonl"], "'none.jsonl' is no file"),
        (["replay", "-", "--speed", "fast"], "--speed 'fast'"),
        (["replay", "-", "--speed", "-1"], "--speed '-1'"),
        (["replay", "-", "--speed", "nan"], "--speed 'nan'"),
    ],
)
def test_wrong_usage(run: Run, written: Written, arguments: list[str], said: str) -> None:
    ended = run(*arguments)

    assert ended.code == 2
    assert said.lower() in ended.err.lower()
    assert written.events == []


@pytest.mark.parametrize("command", ["publish", "replay"])
def test_every_help_has_an_example(run: Run, command: str) -> None:
    assert f"Example: kinstream {command}" in run(command, "--help").out


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_the_rate_is_kept() -> None:
    clock, sent = Clock(), []
    console = Console(quiet=True)
    with Progress(console=console, disable=True) as progress:
        sending = Sending(lambda _: sent.append(clock.now), console, progress, 10, clock, clock.sleep)
        for _ in range(3):
            sending.attempt("a:1", lambda: SHOE)
        clock.now = 10.0
        sending.attempt("a:1", lambda: SHOE)

    assert sent == [0.0, 0.1, 0.2, 10.0]


def test_what_the_publisher_refuses_is_named_too() -> None:
    def send(event: Event) -> None:
        raise BadEvent("TooLarge", "value has 2 bytes")

    console = Console(record=True, quiet=False, file=open(os.devnull, "w"))  # noqa: SIM115 - closed below
    with Progress(console=console, disable=True) as progress:
        sending = Sending(send, console, progress)
        sending.attempt("a:1", lambda: SHOE)
    console.file.close()

    assert (sending.sent, sending.refused) == (0, 1)
    assert console.export_text() == "a:1: TooLarge: value has 2 bytes\n"


def producer_alone(*arguments: str, stdin: bytes = b"") -> Any:
    return subprocess.run([sys.executable, "-m", "producer", *arguments], input=stdin, capture_output=True, check=False)


def test_the_producer_runs_alone() -> None:
    done = producer_alone("publish", "-", "--dry-run", stdin=LINES)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == b"2 checked, 2 refused"


def test_errors_are_one_line(tmp_path: Path) -> None:
    damaged = tmp_path / "a.json.gz"
    damaged.write_bytes(b"plain")
    done = producer_alone("publish", str(damaged), "--dry-run")

    assert done.returncode == 1
    assert done.stderr.decode().count("\n") == 1
    assert "a.json.gz cannot be read" in done.stderr.decode()


def test_a_server_that_does_not_answer_is_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ServerUnreachable("Kafka at a:9092 does not answer")

    monkeypatch.setattr(commands, "Publisher", refuse)
    monkeypatch.setattr(sys, "argv", ["producer", "publish", "--delete", "p1"])

    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 3
