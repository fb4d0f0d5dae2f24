"""Figures for Prometheus: `GET /metrics`."""

import os
import time
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
    multiprocess,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparseinst.serving.settings import SHARED_FOLDER

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)
_ROUTES = frozenset({"/v1/predict", "/v1/model", "/v1/stream", "/healthz", "/readyz", "/metrics", "/openapi.json"})


class Metrics:
    """The figures of one process, in a registry of their own.

    Where several processes serve, they write to the folder named by `SHARED_FOLDER`, and each tells the sums of all.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "sparseinst_requests", "Requests answered.", ("route", "method", "status"), registry=registry
        )
        self.request_seconds = Histogram(
            "sparseinst_request_seconds", "From a request to its answer.", ("route",), buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self.stage_seconds = Histogram(
            "sparseinst_stage_seconds", "Of an image: decoded and resized (prepare), waiting (queue), found (network).",
            ("stage",), buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.in_flight = Gauge(
            "sparseinst_requests_in_flight", "Requests being answered, and open streams.", registry=registry,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self.places = Gauge(
            "sparseinst_queue_images", "Images that are prepared, wait, or are in the network.", registry=registry,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self.batch = Histogram(
            "sparseinst_batch_images", "Images at once in the network.", buckets=_IMAGES, registry=registry
        )
        self.images = Counter("sparseinst_images", "Images answered.", registry=registry)
        self.instances = Counter("sparseinst_instances", "Instances found in them.", registry=registry)
        self.dropped = Counter(
            "sparseinst_frames_dropped", "Frames of streams that newer ones replaced.", registry=registry
        )
        ProcessCollector(registry=registry)

    def exposition(self) -> bytes:
        """The figures in Prometheus' text format."""
        registry = self._registry
        if SHARED_FOLDER in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def forget_process(self) -> None:
        """Leaves what this process has under way out of the sums, as it ends."""
        if SHARED_FOLDER in os.environ:
            multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]


class CountRequests:
    """Middleware that counts and times requests.

    Args:
        app: what answers them.
        metrics: where they are counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        # names that clients choose must not become labels: each would be kept for ever
        route = scope["path"] if scope["path"] in _ROUTES else "page"
        status: Any = "none"

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        start = time.perf_counter()
        try:
            with self._metrics.in_flight.track_inprogress():
                await self._app(scope, receive, watched)
        finally:
            self._metrics.requests.labels(route, _method(scope), status).inc()
            if scope["type"] == "http":
                self._metrics.request_seconds.labels(route).observe(time.perf_counter() - start)


def _method(scope: Scope) -> str:
    method = scope.get("method", "GET")
    return method if method in ("GET", "HEAD", "POST", "OPTIONS") else "other"
