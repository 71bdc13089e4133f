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

from consumer import http, snapshot
from consumer.allocator import Trimmer, tune
from consumer.auditor import Auditor
from consumer.bootstrap import bootstrap
from consumer.bundled import BundledEncoder
from consumer.catalogue import Catalogue
from consumer.config import Settings, SettingsError
from consumer.errors import KinstreamError, ServerUnavailable
from consumer.exact import ExactIndex
from consumer.given import GivenVectors
from consumer.hnsw import HnswIndex
from consumer.images import ImageLoader
from consumer.kafka import KafkaSource
from consumer.loop import Chores, Loop
from consumer.metrics import Metrics
from consumer.neighbours import NeighbourGraph, warm_up
from consumer.pipeline import Pipeline
from consumer.ports import Encoder, Index, Source, Store
from consumer.redis import RedisStore
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
    """One running generation: the loop in the main thread, HTTP in others."""

    def __init__(
        self, settings: Settings, loop: Loop, graph: NeighbourGraph, encoder: Encoder, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._graph = graph
        self._encoder = encoder
        self._metrics = metrics
        self._generation = Generation(
            name=settings.generation,
            model=encoder.name,
            dim=encoder.dim,
            k=settings.k,
            metric=settings.metric,
            created_at=time.time(),
        )

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT: then finish the batch, save the export, leave."""
        log.info("starting", **self._described())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        server = (
            http.serve(self._settings.metrics_port, self, self._metrics.registry)
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
            loop.patience.call(lambda: loop.store.open(self._generation))
            bootstrap(loop)
            loop.run()
        except ServerUnavailable as error:
            if not loop.stopping.is_set():
                raise
            log.warning("stopped while waiting; the next start reads again what was not committed", reason=str(error))
        finally:
            loop.source.close()
            loop.store.close()
            if loop.caught_up:
                path = snapshot.save(self._settings.state, self.export())
                log.info("stopped", products=len(loop.catalogue), export=str(path))


def build_service(settings: Settings) -> Service:
    """Connect everything; fails early and clearly when a server or the model is not there.

    Raises:
        SettingsError: a setting is wrong.
        ServerUnavailable: Kafka does not answer.
    """
    snapshot.check_folder(settings.state)
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
    auditor = Auditor(graph, catalogue, metrics.list_recall, pipeline.lock, settings.audit_share)
    chores = Chores([auditor.turn], [pipeline.maintain, Trimmer().turn])
    loop = Loop(source, pipeline, catalogue, store, metrics, chores, settings.batch)
    return Service(settings, loop, graph, encoder, metrics)


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
