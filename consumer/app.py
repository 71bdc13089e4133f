"""The wiring: settings in, a service out. The only module of the core that knows the adapters."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import structlog
from prometheus_client import disable_created_metrics

from consumer import http
from consumer.allocator import Trimmer, tune
from consumer.auditor import Auditor
from consumer.bundled import BundledEncoder
from consumer.catalogue import Catalogue
from consumer.config import Settings, SettingsError
from consumer.ends import Ends
from consumer.errors import KinstreamError, ServerUnavailable, TopicRecreated
from consumer.exact import ExactIndex
from consumer.given import GivenVectors
from consumer.hnsw import HnswIndex
from consumer.images import ImageLoader
from consumer.kafka import KafkaSource
from consumer.leadership import Leadership
from consumer.loop import Chores, Loop
from consumer.metrics import Metrics
from consumer.neighbours import NeighbourGraph, warm_up
from consumer.persistence import Persistence
from consumer.pipeline import Pipeline
from consumer.ports import Encoder, Index, Source, Store
from consumer.publishing import Passed
from consumer.redis import RedisStore
from consumer.snapshot import Made
from consumer.types import Export, Generation
from model.bundle import BundleError
from producer.kafka_config import client_config
from producer.topics import DEAD_LETTERS, PRODUCTS, ensure_topics

log = structlog.get_logger(__name__)


def build_encoder(settings: Settings, images: ImageLoader | None = None) -> Encoder:
    """The encoder that the settings name; ``images`` reads what products name, for models that look at it.

    Raises:
        SettingsError: no model and no dimension, or not a bundle.
    """
    if settings.model == "none":
        if settings.dim is None:
            raise SettingsError(
                "KINSTREAM_DIM is not set: with KINSTREAM_MODEL=none it gives the dimension of the events' own "
                "embeddings, such as KINSTREAM_DIM=384; or set KINSTREAM_MODEL to the folder of a model bundle"
            )
        return GivenVectors(settings.dim)
    try:
        return BundledEncoder.load(Path(settings.model), settings.device, images)
    except BundleError as error:
        raise SettingsError(f"KINSTREAM_MODEL={settings.model!r}: {error}") from error


def build_index(settings: Settings, dim: int) -> Index:
    """The index that the settings name."""
    return ExactIndex(dim) if settings.index == "exact" else HnswIndex(dim)


class Service:
    """One generation: the loop in the main thread, the lease and HTTP in others."""

    def __init__(
        self,
        settings: Settings,
        generation: Generation,
        loop: Loop,
        graph: NeighbourGraph,
        encoder: Encoder,
        metrics: Metrics,
        leadership: Leadership,
        persistence: Persistence,
    ) -> None:
        self._settings = settings
        self._generation = generation
        self._loop = loop
        self._graph = graph
        self._encoder = encoder
        self._metrics = metrics
        self._leadership = leadership
        self._persistence = persistence

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT: then finish the batch, write a snapshot, leave.

        Raises:
            TopicRecreated: build the service anew, and run that.
        """
        log.info("starting", **self._described())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        server = (
            http.serve(self._settings.metrics_port, self, self._metrics.registry, self._settings.metrics_host)
            if self._settings.metrics_port
            else None
        )
        try:
            self._serve()
        finally:
            if server is not None:
                server.close()

    def _described(self) -> dict[str, object]:
        settings = self._settings
        return {
            "version": version("kinstream"),
            "generation": settings.generation,
            "model": self._encoder.name,
            "provider": self._encoder.provider,
            "topic": settings.topic,
            "http_port": settings.metrics_port,
        }

    def stop(self) -> None:
        """Ask the service to stop; returns at once."""
        self._loop.stopping.set()

    def export(self) -> Export:
        """The catalogue as it is between two batches."""
        with self._loop.pipeline.lock:
            known = list(self._loop.catalogue.items())
            slots = self._loop.catalogue.slots()
            available = np.array([state.available for _, state in known], np.bool_)
            return Export(self._generation, [id for id, _ in known], self._graph.vectors(slots), available)

    def search(self, text: str | None, image: bytes | None, k: int) -> list[tuple[str, float]]:
        """The available products nearest to a text, an image or both."""
        vectors = self._encoder.encode_query(text, image)
        with self._loop.pipeline.lock:
            slots, scores = self._graph.search(vectors, k)
            id_of = self._loop.catalogue.id_of
            return [(id_of(z), s) for z, s in zip(slots[0].tolist(), scores[0].tolist(), strict=True) if z >= 0]

    def generation_name(self) -> str:
        """The generation that is served."""
        return self._settings.generation

    def checks(self) -> dict[str, str | None]:
        """What readiness asks for: name -> what is wrong, or None."""
        return {
            "caught_up": None if self._loop.caught_up else "reading the topic for the first time since the start",
            "kafka": _answer(self._loop.source.ping),
            "redis": _answer(self._loop.store.ping),
        }

    def idle_seconds(self) -> float:
        """Seconds since the main loop last turned."""
        return time.time() - self._loop.turned_at

    def _serve(self) -> None:
        loop = self._loop
        try:
            self._persistence.start(loop)
            if not loop.stopping.is_set():
                self._leadership.start()
                loop.run()
        except ServerUnavailable as error:
            if not loop.stopping.is_set():
                raise
            log.warning("stopped while waiting; the next start reads again what was not committed", reason=str(error))
        finally:
            self._leave()

    def _leave(self) -> None:
        """What was committed is with the brokers before another service may lead."""
        loop = self._loop
        loop.source.close()
        self._leadership.stop(resign=True)
        loop.store.close()
        self._persistence.stop(loop)


def run(settings: Settings, *, bootstrap: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; when the topic is created again meanwhile, begin anew with that.

    Args:
        bootstrap: read the whole topic at the start, and delete what it no longer holds.

    Raises:
        SettingsError: a setting is wrong.
        ServerUnavailable: Kafka does not answer at the start.
    """
    while True:
        try:
            build_service(settings, bootstrap=bootstrap).run()
            return
        except TopicRecreated as error:
            log.warning("starting again", reason=str(error))


def build_service(settings: Settings, *, bootstrap: bool = False, passed: Passed = lambda step: None) -> Service:
    """Connect everything; fails early and clearly when a server or the model is not there.

    Args:
        bootstrap: read the whole topic at the start, and delete what it no longer holds.
        passed: is told each step of a commit, see consumer.loop.

    Raises:
        SettingsError: a setting is wrong.
        ServerUnavailable: Kafka does not answer.
    """
    tune()
    disable_created_metrics()  # type: ignore[no-untyped-call]
    # The metrics name the encoder, so they come after it; no image is read, hence none counted, before the first batch.
    images = ImageLoader(settings.image_root, lambda outcome: metrics.images.labels(outcome).inc(), time.monotonic)
    encoder = build_encoder(settings, images)
    metrics = Metrics(encoder.name, settings.index, encoder.provider)
    warm_up(ExactIndex(encoder.dim), encoder.dim)
    catalogue = Catalogue()
    index = build_index(settings, encoder.dim)
    graph = NeighbourGraph(index, encoder.dim, settings.k, settings.slack, catalogue.id_of, settings.metric)
    pipeline = Pipeline(encoder, graph, catalogue, settings.fact_attributes, metrics.stage)
    source, store = _connect(settings)
    generation = _generation(settings, encoder)
    made = _made(settings, generation, encoder)
    persistence = Persistence(settings, made, graph, encoder, metrics, forced=bootstrap, passed=passed)
    leadership = Leadership(store.lead, store.resign, persistence.instance)
    auditor = Auditor(graph, catalogue, metrics.list_recall, pipeline.lock, settings.audit_share)
    chores = Chores([auditor.turn, lambda now: persistence.turn(loop, now)], [pipeline.maintain, Trimmer().turn])
    ends = Ends(source, store, leadership, generation)
    loop = Loop(ends, pipeline, catalogue, metrics, chores, settings.batch, passed=passed)
    return Service(settings, generation, loop, graph, encoder, metrics, leadership, persistence)


def _generation(settings: Settings, encoder: Encoder) -> Generation:
    return Generation(
        name=settings.generation,
        model=encoder.name,
        dim=encoder.dim,
        k=settings.k,
        metric=settings.metric,
        created_at=time.time(),
    )


def _made(settings: Settings, generation: Generation, encoder: Encoder) -> Made:
    return Made(
        generation=generation,
        slack=settings.slack,
        index=settings.index,
        fact_attributes=sorted(settings.fact_attributes),
        digest=encoder.digest,
    )


def _connect(settings: Settings) -> tuple[Source, Store]:
    config = client_config(settings.kafka, settings.kafka_config)
    ensure_topics(config, {settings.topic: PRODUCTS, f"{settings.topic}.dlq": DEAD_LETTERS})
    source = KafkaSource(config, settings.topic, settings.group, settings.linger_ms / 1000)
    return source, RedisStore(settings.redis, settings.generation)


def _answer(ping: Callable[[], None]) -> str | None:
    try:
        ping()
    except KinstreamError as error:
        return str(error)
    return None
