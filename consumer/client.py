"""The commands' side of the service's HTTP: ask the running service, else its newest snapshot."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import httpx2
import msgspec
import numpy as np

from consumer.config import Settings
from consumer.errors import KinstreamError, ServerUnavailable
from consumer.export import read_export
from consumer.metric import exact_scores
from consumer.ports import Encoder
from consumer.queries import Neighbour
from consumer.routes import GENERATION_HEADER
from consumer.snapshot import newest
from consumer.snapshot_folder import snapshots_folder
from consumer.types import Export

TIMEOUT = httpx2.Timeout(120.0, connect=2.0)
"""Seconds; a service in the middle of a large batch answers once it is through."""
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here
"""What stands for all addresses -> one of them."""


class Answer(msgspec.Struct):
    """What a search found; the order of the fields is that of the JSON."""

    generation: str
    neighbours: list[Neighbour]


def find_export(settings: Settings, note: Callable[[str], None], now: Callable[[], float] = time.time) -> Export:
    """The running service's export, else the newest snapshot's; ``note`` is told when it is the latter.

    Raises:
        KinstreamError: neither is there.
    """
    return running_export(settings) or saved_export(settings, note, now)


def running_export(settings: Settings) -> Export | None:
    """The export of the running service; None when nothing listens or it serves another generation.

    Raises:
        ServerUnavailable: the service broke off.
    """
    with _asked(settings, "GET", "/export") as response, NamedTemporaryFile(suffix=".npz") as file:
        if response is None:
            return None
        for part in response.iter_bytes():
            file.write(part)
        file.flush()
        return read_export(Path(file.name))


def saved_export(settings: Settings, note: Callable[[str], None], now: Callable[[], float] = time.time) -> Export:
    """The export of the newest sound snapshot in the state folder; ``note`` is told which, and which were skipped.

    Raises:
        KinstreamError: there is none.
    """
    snapshot = newest(
        settings.state, settings.generation, lambda manifest: None, lambda *skipped: note(_skipped(*skipped))
    )
    if snapshot is None:
        raise KinstreamError(
            f"no service of generation {settings.generation} answers on port {settings.metrics_port} and there is no "
            f"snapshot in {snapshots_folder(settings.state, settings.generation)}: start the service, or set "
            "KINSTREAM_STATE and KINSTREAM_GENERATION to what it runs with"
        )
    note(f"the service does not run here: answering from {snapshot.path}, {age(now() - snapshot.created_at)} old")
    export = snapshot.export()
    snapshot.close()
    return export


def running_search(settings: Settings, text: str | None, image: bytes | None, k: int) -> Answer | None:
    """Search in the running service; None when nothing listens or it serves another generation.

    Raises:
        KinstreamError: the service refuses the text or image.
        ServerUnavailable: the service broke off.
    """
    encoded = None if image is None else base64.b64encode(image).decode()
    with _asked(settings, "POST", "/search", {"text": text, "image": encoded, "k": k}) as response:
        return None if response is None else msgspec.json.decode(response.read(), type=Answer)


def search_export(export: Export, encoder: Encoder, text: str | None, image: bytes | None, k: int) -> Answer:
    """Search exactly among the available products of an export.

    Raises:
        KinstreamError: the encoder has another dimension, or cannot encode this.
    """
    if encoder.dim != export.generation.dim:
        raise KinstreamError(
            f"the snapshot has {export.generation.dim} dimensions ({export.generation.model}), the model has "
            f"{encoder.dim} ({encoder.name}): set KINSTREAM_MODEL to the one it was built with"
        )
    query = encoder.encode_query(text, image)
    scores = exact_scores(export.generation.metric, query, export.vectors)[0]
    scores[~export.available] = -np.inf
    best = np.argsort(-scores, kind="stable")[: min(k, int(export.available.sum()))].tolist()
    return Answer(export.generation.name, [Neighbour(export.ids[row], float(scores[row])) for row in best])


@contextmanager
def _asked(settings: Settings, method: str, path: str, body: Any = None) -> Iterator[httpx2.Response | None]:
    """A good answer of a service of our generation, not read yet, or None when there is no such service."""
    if settings.metrics_port == 0:
        yield None
        return
    url = f"http://{_reachable(settings.metrics_host)}:{settings.metrics_port}{path}"
    try:
        with httpx2.stream(method, url, json=body, timeout=TIMEOUT, trust_env=False) as response:
            yield _ours(settings, response)
    except (httpx2.ConnectError, httpx2.ConnectTimeout):
        yield None
    except httpx2.TransportError as error:
        raise ServerUnavailable(f"the service at {url} broke off ({error}): is it stopping? try again") from error


def _ours(settings: Settings, response: httpx2.Response) -> httpx2.Response | None:
    if response.headers.get(GENERATION_HEADER) != settings.generation:
        return None
    if response.status_code == httpx2.codes.OK:
        return response
    reason = _reason(response.read())
    if response.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
        raise ServerUnavailable(reason)
    raise KinstreamError(reason)


def _reachable(host: str) -> str:
    """Where a service on this machine is found that listens on a host, as URLs write it."""
    found = LOOPBACK.get(host, host)
    return f"[{found}]" if ":" in found else found


def _reason(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body, type=dict[str, str])["error"])
    except (msgspec.DecodeError, KeyError):
        return f"the service answered {body[:200]!r}: see its log"


def _skipped(path: Path, reason: str) -> str:
    return f"{path} is not used: {reason}"


def age(seconds: float) -> str:
    """How old something is, for people."""
    minutes = round(max(seconds, 0) / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
