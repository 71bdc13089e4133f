"""Every metric, in one place; docs/contract.md lists the same names. Base units: seconds, bytes, events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from consumer.types import Offsets, Outcome

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
EVENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
OUTCOMES: tuple[Outcome, ...] = (
    "embedded",
    "facts",
    "unchanged",
    "stale",
    "duplicate",
    "deleted",
    "dead_letter",
)
IMAGE_OUTCOMES = ("read", "cached", "missing", "refused", "invalid")


class Metrics:
    """The metrics of one service, in a registry of its own."""

    def __init__(self, model: str, index: str, provider: str) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter(
            "kinstream_events_total", "Events by what became of them.", ["outcome"], registry=self.registry
        )
        self.freshness = BatchHistogram(
            "kinstream_freshness_seconds",
            "Time when the lists and the card that an event changes are readable - Kafka timestamp of the event.",
            SECONDS,
        )
        self.registry.register(self.freshness)
        self._stages = Histogram(
            "kinstream_stage_seconds",
            "Time in one stage of a batch.",
            ["stage"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._batch = Histogram("kinstream_batch_events", "Events in a batch.", buckets=EVENTS, registry=self.registry)
        self._lists = Counter("kinstream_lists_written_total", "Lists written to the store.", registry=self.registry)
        self.images = Counter(
            "kinstream_images_total",
            "Product images by what became of them.",
            ["outcome"],
            registry=self.registry,
        )
        self._products = Gauge("kinstream_products", "Products in the catalogue.", ["state"], registry=self.registry)
        self._lag = Gauge(
            "kinstream_consumer_lag",
            "Events behind: high watermark of the partition - offset committed by the group.",
            ["topic", "partition"],
            registry=self.registry,
        )
        self.list_recall = Gauge(
            "kinstream_list_recall",
            "Share of the entries of sampled lists that the exact answer has too; NaN until the first sample.",
            registry=self.registry,
        )
        self.list_recall.set(float("nan"))
        self._snapshot_age = Gauge(
            "kinstream_snapshot_age_seconds",
            "Now - time at which the newest good snapshot was begun; NaN before the first.",
            registry=self.registry,
        )
        self._snapshot_age.set(float("nan"))
        self._snapshot_bytes = Gauge(
            "kinstream_snapshot_bytes", "Size of the newest good snapshot.", registry=self.registry
        )
        self._snapshot_failures = Counter(
            "kinstream_snapshot_failures_total", "Snapshots that could not be written.", registry=self.registry
        )
        self._leader = Gauge(
            "kinstream_leader", "1 while this service writes, 0 while it follows another.", registry=self.registry
        )
        self._republishing = Gauge(
            "kinstream_republish_pending_products",
            "Products whose lists are still to be written again after a takeover or a loss of the store.",
            registry=self.registry,
        )
        self._losses = Counter(
            "kinstream_store_losses_total", "Times that the store had lost what was written.", registry=self.registry
        )
        info = Gauge(
            "kinstream_build_info",
            "Always 1.",
            ["version", "model", "index", "provider"],
            registry=self.registry,
        )
        info.labels(version("kinstream"), model, index, provider).set(1)
        self._show_zeros()

    def _show_zeros(self) -> None:
        for outcome in OUTCOMES:
            self._events.labels(outcome)
        for image_outcome in IMAGE_OUTCOMES:
            self.images.labels(image_outcome)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage: decode, encode, index, publish or commit."""
        started = time.perf_counter()
        yield
        self._stages.labels(name).observe(time.perf_counter() - started)

    def batch(self, outcomes: Mapping[Outcome, int]) -> None:
        """Count one batch; one that was counted before has no outcomes left."""
        if not outcomes:
            return
        self._batch.observe(sum(outcomes.values()))
        for outcome, number in outcomes.items():
            self._events.labels(outcome).inc(number)

    def lists_written(self, number: int) -> None:
        """Count lists that are readable."""
        self._lists.inc(number)

    def products(self, available: int, unavailable: int) -> None:
        """Set the size of the catalogue."""
        self._products.labels("available").set(available)
        self._products.labels("unavailable").set(unavailable)

    def role(self, *, leading: bool, pending: int) -> None:
        """Set whether this service leads, and how many products it still has to write again."""
        self._leader.set(leading)
        self._republishing.set(pending)

    def store_lost(self) -> None:
        """Count a loss of the store."""
        self._losses.inc()

    def snapshot_written(self, nbytes: int, age: Callable[[], float]) -> None:
        """Tell of a good snapshot; its age in seconds is asked for when the metrics are read."""
        self._snapshot_bytes.set(nbytes)
        self._snapshot_age.set_function(age)

    def snapshot_failed(self) -> None:
        """Count a snapshot that could not be written."""
        self._snapshot_failures.inc()

    def lag(self, lag: Offsets) -> None:
        """Set the group lag of each partition."""
        for (topic, partition), events in lag.items():
            self._lag.labels(topic, str(partition)).set(events)


class BatchHistogram(Collector):
    """A histogram that takes many observations at once: one by one they would cost more than applying the event."""

    def __init__(self, name: str, help: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._help = help
        self._bounds = np.array(bounds)
        self._counts = np.zeros(len(bounds) + 1, np.int64)
        self._sum = 0.0

    def observe(self, values: Sequence[float]) -> None:
        """Add observations [n]."""
        array = np.asarray(values, np.float64)
        self._counts += np.bincount(np.searchsorted(self._bounds, array), minlength=len(self._counts))
        self._sum += float(array.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The family in Prometheus's cumulative form."""
        totals = np.cumsum(self._counts).tolist()
        bounds = [*(f"{bound:g}" for bound in self._bounds.tolist()), "+Inf"]
        yield HistogramMetricFamily(self._name, self._help, list(zip(bounds, totals, strict=True)), self._sum)
