"""The documents say what the code does: tables, examples and links."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest
import typer.main
import yaml
from prometheus_client import CollectorRegistry, Metric

from consumer import letters
from consumer.__main__ import build_app
from consumer.config import PREFIX, Settings
from consumer.content import card_fields
from consumer.metrics import IMAGE_OUTCOMES, OUTCOMES, Metrics
from consumer.routes import Routes, Running
from consumer.types import DeadLetter, Record
from producer.events import Deletion, Product, decode_event

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([^`]+)`")
REASONS = re.compile(r'(?:BadEvent\(|DeadLetter\([^,]+,|InvalidProduct" if|wrong\([^()]*,)\s*"([A-Z]\w+)"')


@pytest.fixture(scope="module")
def contract() -> str:
    return (ROOT / "docs" / "contract.md").read_text()


@pytest.fixture
def metrics() -> Metrics:
    """Used once, so that every label shows."""
    made = Metrics("a model", "hnsw", "CPUExecutionProvider")
    with made.stage("decode"):
        made.products(1, 1)
    made.lag({("products", 0): 1})
    return made


def test_the_settings_are_those_of_the_code(contract: str) -> None:
    documented = [(row[0], row[1]) for row in table(contract, "Settings", "setting")]
    fields = Settings.model_fields
    assert documented == [(f"`{PREFIX}{name.upper()}`", shown(fields[name].default)) for name in in_order(documented)]
    assert len(documented) == len(fields)


def test_the_settings_have_the_documented_range(contract: str) -> None:
    allowed = {row[0].strip("`"): row[2] for row in table(contract, "Settings", "setting")}
    ranges = {name: range_of(field.metadata) for name, field in Settings.model_fields.items()}
    bounded = {name: bounds for name, bounds in ranges.items() if bounds is not None}
    assert bounded
    assert {name: allowed[PREFIX + name.upper()] for name in bounded} == bounded
    for name in ("device", "index"):
        choices = get_args(Settings.model_fields[name].annotation)
        assert tuple(QUOTED.findall(allowed[PREFIX + name.upper()])) == choices


def test_the_metrics_are_those_of_the_code(contract: str, metrics: Metrics) -> None:
    rows = table(contract, "Metrics", "metric")
    documented = {row[0].strip("`"): (row[1], labels_of(row[2])) for row in rows}
    exposed = {full_name(family): (family.type, label_names(family)) for family in metrics.registry.collect()}
    assert len(rows) == len(documented)
    assert documented == exposed
    labels = {row[0].strip("`"): QUOTED.findall(row[2])[1:] for row in rows}
    assert labels["kinstream_events_total"] == list(OUTCOMES)
    assert labels["kinstream_images_total"] == list(IMAGE_OUTCOMES)


def test_the_commands_are_those_of_the_code(contract: str) -> None:
    documented = [row[0].strip("`") for row in table(contract, "Commands", "command")]
    commands = cast("Any", typer.main.get_command(build_app())).commands
    assert sorted(documented) == sorted(commands)


def test_the_reasons_are_those_of_the_code(contract: str) -> None:
    documented = [row[0].strip("`") for row in table(contract, "Dead letters", "reason")]
    sources = [*(ROOT / "producer").rglob("*.py"), *(ROOT / "consumer").rglob("*.py")]
    used = {reason for source in sources for reason in REASONS.findall(source.read_text())}
    assert {"NotJson", "EncoderFailed", "InvalidEmbedding"} <= used
    assert sorted(documented) == sorted(used)


def test_the_headers_are_those_of_the_code(contract: str) -> None:
    documented = [row[0].strip("`") for row in table(contract, "Dead letters", "header")]
    letter = DeadLetter(Record("products", 0, 1, 2.0, b"p1", b"x"), "NotJson", "value is not JSON")
    assert documented == [name for name, _ in letters._reasons(letter)]


def test_the_fields_are_those_of_the_code(contract: str) -> None:
    of_product = [row[0].strip("`") for row in table(contract, "The product object", "field")]
    assert of_product == list(Product.__struct_fields__)
    of_card = [name for row in table(contract, "Redis", "field of a card") for name in QUOTED.findall(row[0])]
    texts: dict[str, Any] = dict.fromkeys(("title", "brand", "category", "currency", "image", "updated_at"), "x")
    full = Product(id="p1", price=1.0, version=1, embedding=[1.0], attributes={"size": 1}, **texts)
    assert sorted(of_card) == sorted([*card_fields(full), "seen_at"])


def test_the_examples_are_events(contract: str) -> None:
    examples = [text for language, text in CODE.findall(section(contract, "Event formats")) if language == "json"]
    events = [decode_event(b"sku-17", text.encode(), None) for text in examples]
    assert [(type(event), event.id) for event in events] == [
        (Product, "sku-17"),
        (Product, "sku-17"),
        (Deletion, "sku-17"),
        (Product, "sku-17"),
    ]


def test_the_paths_are_those_of_the_code(contract: str) -> None:
    documented = [row[0].strip("`").split()[1] for row in table(contract, "HTTP", "path")]
    running = cast("Running", SimpleNamespace(generation_name=lambda: "g1"))
    answer = Routes(running, CollectorRegistry()).answer("GET", "/nowhere", {}, b"")
    assert isinstance(answer.body, bytes)
    error: str = json.loads(answer.body)["error"]
    assert documented == error.partition(": try ")[2].split(", ")


def test_every_alert_has_a_runbook() -> None:
    files = sorted((ROOT / "ops" / "prometheus").glob("*.rules.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    alerts = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
    headings = HEADING.findall((ROOT / "docs" / "operations.md").read_text())
    assert sorted(alerts) == sorted(heading for heading in headings if re.fullmatch("Kinstream[A-Z]\\w+", heading))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    assert [target for target in links(document.read_text()) if not leads_somewhere(document, target)] == []


def test_the_documents_have_links() -> None:
    assert len(list(links((ROOT / "docs" / "operations.md").read_text()))) >= 10
    assert not leads_somewhere(DOCUMENTS[0], "docs/contract.md#no-such-heading")
    assert not leads_somewhere(DOCUMENTS[0], "docs/no-such-file.md")


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next of its level or above."""
    start = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert start is not None, f"there is no heading {heading!r}"
    end = re.compile(rf"^#{{1,{len(start[1])}}} ", re.MULTILINE).search(text, start.end())
    return text[start.end() : end.start() if end else None]


def table(text: str, heading: str, first_column: str) -> list[list[str]]:
    """The rows of the table under a heading whose first column has this name; cells without blanks around."""
    lines = [cells(line) if line.startswith("|") else [] for line in section(text, heading).splitlines()]
    start = next(number for number, line in enumerate(lines) if line and line[0] == first_column)
    end = next((number for number in range(start, len(lines)) if not lines[number]), len(lines))
    rows = lines[start + 2 : end]
    assert all(len(row) == len(lines[start]) for row in rows), f"a row under {heading} has cells too many or too few"
    return rows


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def in_order(documented: list[tuple[str, str]]) -> list[str]:
    """Names of the fields in the order of the table; unknown ones fail as a missing field."""
    return [name.strip("`").removeprefix(PREFIX).lower() for name, _ in documented]


def shown(default: object) -> str:
    """How the table tells a default."""
    if default is None:
        return "not set"
    return "empty" if default == frozenset() else f"`{default}`"


def range_of(metadata: list[Any]) -> str | None:
    bounds = {side: getattr(rule, side) for rule in metadata for side in ("ge", "le") if hasattr(rule, side)}
    return f"{bounds['ge']} to {bounds['le']}" if bounds else None


def full_name(family: Metric) -> str:
    """The name with the ending that the library takes off counters."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def label_names(family: Metric) -> set[str]:
    return {name for sample in family.samples for name in sample.labels} - {"le"}


def labels_of(cell: str) -> set[str]:
    """Label names of a cell: before a colon, or all that is quoted."""
    return set(QUOTED.findall(cell.partition(":")[0]))


def links(text: str) -> Iterator[str]:
    """Targets of the relative links."""
    for target in LINK.findall(CODE.sub("", text)):
        if not re.match(r"[a-z]+:", target):
            yield target


def leads_somewhere(document: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = (document.parent / path).resolve() if path else document
    if not file.exists() or not file.is_relative_to(ROOT):
        return False
    return not anchor or anchor in {slug(heading) for heading in HEADING.findall(CODE.sub("", file.read_text()))}


def slug(heading: str) -> str:
    """The anchor that forges make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
