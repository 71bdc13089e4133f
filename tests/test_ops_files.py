"""Rules, dashboard and compose file name what the contract and the local servers name."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

SUFFIX = re.compile(r"_(bucket|sum|count)$")
TABLE_ROW = re.compile(r"^\|(?P<names>[^|]*)\|", re.MULTILINE)
METRIC = re.compile(r"\bkinstream_[a-z_]+")
RECORDED = re.compile(r"\bkinstream:[a-z0-9_:]+")
ONLY_LOCAL = {"controller.quorum.voters", "listeners", "advertised.listeners", "log.dirs"}


@pytest.fixture
def rules(repo_root: Path) -> list[dict[str, Any]]:
    files = sorted((repo_root / "ops" / "prometheus").glob("*.rules.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture
def dashboard(repo_root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((repo_root / "ops" / "grafana" / "kinstream.json").read_text())
    return loaded


@pytest.fixture
def compose(repo_root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((repo_root / "ops" / "compose" / "compose.yaml").read_text())
    return loaded


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("needs promtool, of the package prometheus")
    return found


def test_every_metric_is_one_of_the_contract(
    request: pytest.FixtureRequest, repo_root: Path, rules: list[dict[str, Any]], dashboard: dict[str, Any]
) -> None:
    contract = repo_root / "docs" / "contract.md"
    if not contract.exists():
        pytest.skip(f"{request.node.name}: needs {contract.relative_to(repo_root)}")
    known = metrics_of(contract.read_text())
    assert "kinstream_events_total" in known
    used = {SUFFIX.sub("", name) for text in [*queries(dashboard), *exprs(rules)] for name in METRIC.findall(text)}
    assert used <= known


def test_every_recorded_series_is_recorded(rules: list[dict[str, Any]], dashboard: dict[str, Any]) -> None:
    recorded = {rule["record"] for rule in rules if "record" in rule}
    used = {name for text in [*queries(dashboard), *exprs(rules)] for name in RECORDED.findall(text)}
    assert used <= recorded


def test_every_alert_says_what_to_do(rules: list[dict[str, Any]]) -> None:
    alerts = [rule for rule in rules if "alert" in rule]
    assert alerts
    assert [rule["alert"] for rule in alerts if not {"summary", "remedy"} <= rule["annotations"].keys()] == []


def test_the_rules_are_sound(repo_root: Path, promtool: str) -> None:
    files = sorted((repo_root / "ops" / "prometheus").glob("*.rules.yml"))
    check(promtool, "rules", *map(str, files))
    check(promtool, "config", str(repo_root / "ops" / "prometheus" / "prometheus.yml"))


def test_the_queries_of_the_dashboard_are_sound(dashboard: dict[str, Any], promtool: str, tmp_path: Path) -> None:
    expressions = [text.replace("$__rate_interval", "1m") for text in queries(dashboard)]
    recording = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recording}]}))
    check(promtool, "rules", str(file))


def test_panels_do_not_overlap(dashboard: dict[str, Any]) -> None:
    cells = [cell for panel in dashboard["panels"] for cell in cells_of(panel["gridPos"])]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_broker_is_set_up_as_the_local_one(
    repo_root: Path, compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    local = local_settings(repo_root, monkeypatch, tmp_path)
    environment = compose["services"]["kafka"]["environment"]
    theirs = {name: environment.get("KAFKA_" + name.upper().replace(".", "_")) for name in local}
    differing = {name for name in local if theirs[name] != local[name]}
    assert differing == ONLY_LOCAL | {"listener.security.protocol.map"}


def test_nothing_is_published_beyond_this_machine(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_every_service_has_a_health_check_and_keeps_its_state(compose: dict[str, Any]) -> None:
    mounted = {
        volume.partition(":")[0] for service in compose["services"].values() for volume in service.get("volumes", [])
    }
    assert set(compose["volumes"]) <= mounted
    assert [name for name, service in compose["services"].items() if "healthcheck" not in service] == []


def test_the_image_is_small_and_not_root(repo_root: Path) -> None:
    text = (repo_root / "ops" / "compose" / "Dockerfile").read_text()
    assert re.findall(r"-r (\S+)", text) == ["requirements/serving.txt"]
    final = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER (?!root|0\b)\S+", final, re.MULTILINE)
    copied = [name for line in re.findall(r"^COPY (?!--from)(.+)", text, re.MULTILINE) for name in line.split()[:-1]]
    assert [name for name in copied if not (repo_root / name).exists()] == []
    admitted = (repo_root / "ops" / "compose" / "Dockerfile.dockerignore").read_text().splitlines()
    assert [name for name in copied if f"!{name}" not in admitted] == []


def test_no_container_may_do_more_than_it_must(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert {name for name, service in services.items() if not service["read_only"]} == {"kafka"}
    assert {name for name, service in services.items() if service["user"] in ("root", "0")} == set()
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.keys() & {"privileged", "cap_add", "devices", "pid", "ipc"}, name
        assert not [volume for volume in service.get("volumes", []) if "docker.sock" in volume], name


def test_the_service_can_write_where_it_must(repo_root: Path, compose: dict[str, Any]) -> None:
    """With a read-only root, what the image makes for its user has to be a volume."""
    final = (repo_root / "ops" / "compose" / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    made = re.findall(r"install -d -o kinstream -g kinstream (.+)", final)[0].split()
    service = compose["services"]["kinstream"]
    assert re.findall(r"^VOLUME (.+)", final, re.MULTILINE)[0].split() == made
    assert set(made) <= {volume.split(":")[1] for volume in service["volumes"]}
    assert service["user"] == re.findall(r"^USER (\d+)", final, re.MULTILINE)[0]
    assert f"--uid {service['user']} " in final


def metrics_of(contract: str) -> set[str]:
    """Every metric named in the first column of a table."""
    return {name for row in TABLE_ROW.finditer(contract) for name in METRIC.findall(row["names"])}


def queries(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def exprs(rules: list[dict[str, Any]]) -> list[str]:
    return [rule["expr"] for rule in rules]


def cells_of(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y


def check(promtool: str, what: str, *files: str) -> None:
    done = subprocess.run([promtool, "check", what, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def local_settings(repo_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """The server.properties that ops/local writes."""
    monkeypatch.syspath_prepend(str(repo_root / "ops" / "local"))
    lines = importlib.import_module("kafka")._settings(tmp_path, 9092, None).splitlines()
    return dict(line.split("=", 1) for line in lines)
