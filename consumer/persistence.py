"""What outlives a process: from a snapshot at the start to one at the stop, and some in between."""

from __future__ import annotations

import time
from pathlib import Path

import structlog

from consumer import snapshot, start
from consumer.config import Settings
from consumer.errors import KinstreamError
from consumer.instance import Instance
from consumer.loop import Loop
from consumer.metrics import Metrics
from consumer.neighbours import NeighbourGraph
from consumer.ports import Encoder
from consumer.publishing import Passed
from consumer.snapshot import Made, Manifest, Place, Snapshot
from consumer.snapshotter import Snapshotter

log = structlog.get_logger(__name__)


class Persistence:
    """From a snapshot at the start to one at the stop.

    Args:
        forced: read the whole topic at the start, and delete what it no longer holds.
        passed: is told "snapshot" when one is written.
    """

    def __init__(
        self,
        settings: Settings,
        made: Made,
        graph: NeighbourGraph,
        encoder: Encoder,
        metrics: Metrics,
        *,
        forced: bool,
        passed: Passed,
    ) -> None:
        self._settings = settings
        self._made = made
        self._graph = graph
        self._encoder = encoder
        self._metrics = metrics
        self._forced = forced
        self._passed = passed
        self._instance = Instance(settings.state, made.generation.name)
        self._topic_id = ""
        self._snapshotter: Snapshotter | None = None

    @property
    def instance(self) -> str:
        """The id under which this process leads."""
        return self._instance.id

    def start(self, loop: Loop) -> None:
        """Restore the newest snapshot that can be used, and read the topic up to its end."""
        self._look_at_folder()
        topic = loop.patience.call(loop.source.topic)
        self._topic_id = topic.identity
        found = snapshot.newest(self._settings.state, self._made.generation.name, self._unfit)
        place = found.place if found else None
        way = start.choose(place, found.created_at if found else 0.0, topic, time.time(), forced=self._forced)
        self._snapshotter = self._made_snapshotter(loop)
        if found is not None:
            self._restore(found, loop)
        start.catch_up(loop, way, topic, place.offsets if place else {})

    def turn(self, loop: Loop, now: float) -> None:
        """Write a snapshot when one is due: only of a state that is readable in full."""
        if self._snapshotter is not None and not loop.backlog:
            self._snapshotter.turn(now)

    def stop(self, loop: Loop) -> None:
        """Write the last snapshot, if the state is one of the whole topic."""
        if self._snapshotter is not None and loop.caught_up:
            path = self._snapshotter.save_now()
            log.info("stopped", products=len(loop.catalogue), snapshot=str(path))
        self._instance.close()

    def _look_at_folder(self) -> None:
        """Say at once what the first snapshot would find out."""
        try:
            snapshot.check_folder(self._settings.state)
        except KinstreamError as error:
            log.error("no snapshot can be written; the service goes on without", reason=str(error))
            self._metrics.snapshot_failed()

    def _unfit(self, manifest: Manifest) -> str | None:
        if manifest.topic != self._settings.topic:
            return f"it was made from topic {manifest.topic}, now it is {self._settings.topic}"
        return manifest.made.difference(self._made)

    def _restore(self, found: Snapshot, loop: Loop) -> None:
        snapshot.restore(found, loop.catalogue, self._graph)
        self._encoder.wait_for(found.waiting())
        if self._snapshotter is not None:
            self._snapshotter.adopt(found)
        log.info("restored", snapshot=str(found.path), products=len(loop.catalogue))
        found.close()

    def _made_snapshotter(self, loop: Loop) -> Snapshotter:
        def write(place: Place, now: float) -> Path:
            waiting = self._encoder.waiting()
            path = snapshot.write(self._settings.state, self._made, place, loop.catalogue, self._graph, now, waiting)
            self._passed("snapshot")
            return path

        def place() -> Place:
            return Place(topic=self._settings.topic, topic_id=self._topic_id, offsets=loop.positions)

        return Snapshotter(write, place, loop.pipeline.lock, self._metrics, self._settings.snapshot_seconds)
