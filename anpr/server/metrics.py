"""What happens, as Prometheus metrics (extra ``metrics``), in a registry of the app's own."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anpr import memory

if TYPE_CHECKING:
    from anpr.server.admission import Admission
    from anpr.server.engine import Engine
    from anpr.types import Result

# From a tenth of the usual to the limits: decoding takes milliseconds, a slow source seconds
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_OTHER: Final = "other"


class Metrics:
    """Raises ``ImportError`` when made without the extra."""

    def __init__(self, admission: Admission, engine: Engine) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._paths: frozenset[str] = frozenset()
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "anpr_requests",
            "Requests that were answered",
            ("path", "method", "status"),
            registry=self._registry,
        )
        self._duration = Histogram(
            "anpr_request_seconds",
            "From the first byte of a request to the last of its answer",
            ("path",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._stages = Histogram(
            "anpr_stage_seconds",
            "Stages of reading a photo",
            ("stage",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._plates = Counter("anpr_plates", "Plates that were found", registry=self._registry)
        self._photos = Counter("anpr_photos", "Photos that were read", registry=self._registry)
        for name, meaning, value in (
            ("anpr_queue_length", "Requests that wait or send their body", _waiting(admission)),
            ("anpr_resident_memory_bytes", "Resident memory", _bytes(memory.rss_mib)),
            ("anpr_peak_memory_bytes", "Largest resident memory so far", _bytes(memory.peak_mib)),
            ("anpr_held_memory_bytes", "What counts against the limit", _bytes(memory.held_mib)),
            ("anpr_memory_limit_bytes", "The container's limit", _bytes(memory.limit_mib)),
            ("anpr_cgroup_memory_bytes", "With page cache", _bytes(memory.cgroup_mib)),
            ("anpr_models_loaded", "Both models are in memory", lambda: float(engine.loaded)),
        ):
            Gauge(name, meaning, registry=self._registry).set_function(value)

    def watch(self, paths: Iterable[str]) -> None:
        """Count requests to these paths by name."""
        self._paths = frozenset(paths)

    def observe(self, result: Result, fetch_ms: float) -> None:
        """One photo that was read."""
        self._photos.inc()
        self._plates.inc(len(result))
        if fetch_ms:
            self._stages.labels("fetch").observe(fetch_ms / 1000)
        for stage, ms in result.timings_ms.items():
            if stage != "total":
                self._stages.labels(stage).observe(ms / 1000)

    def count(self, path: str, method: str, status: int, seconds: float) -> None:
        """One request; what is not ours is counted under one name, so that no stranger can
        make names.
        """
        path = path if path in self._paths else _OTHER
        method = method if method in ("GET", "HEAD", "POST", "OPTIONS") else _OTHER
        self._requests.labels(path, method, status).inc()
        self._duration.labels(path).observe(seconds)

    def response(self) -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return Response(
            generate_latest(self._registry), headers={"content-type": CONTENT_TYPE_LATEST}
        )


def make_metrics(admission: Admission, engine: Engine) -> Metrics | None:
    """``None`` without the extra."""
    try:
        return Metrics(admission, engine)
    except ImportError:
        return None


class CountRequests:
    """ASGI middleware: every request into ``Metrics.count``."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        started = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - started
            self._metrics.count(scope["path"], scope["method"], status, seconds)


def _waiting(admission: Admission) -> Callable[[], float]:
    return lambda: admission.waiting


def _bytes(mib: Callable[[], float | None]) -> Callable[[], float]:
    """Not a number where nobody counts."""

    def value() -> float:
        found = mib()
        return math.nan if found is None else found * memory.MIB

    return value
