"""Is it alive, started, ready? And what does it hold: for probes, monitors and people."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from anpr.errors import Busy, ModelError
from anpr.memory import MemoryMonitor
from anpr.record import rounded
from anpr.server.admission import Admission
from anpr.server.engine import Engine


@dataclass(frozen=True, slots=True)
class Status:
    """``eager``: the models belong to starting up; else they may load with the first photo."""

    admission: Admission
    engine: Engine
    eager: bool
    version: str
    started_at: float = field(default_factory=time.monotonic)
    monitor: MemoryMonitor = field(default_factory=MemoryMonitor)

    def health(self) -> dict[str, Any]:
        """Cheap, and 200 for as long as anybody can answer."""
        names, error = self._models()
        usage = self.monitor.usage()
        return {
            "status": "draining" if self.admission.draining else "ok",
            "version": self.version,
            "uptime_s": round(time.monotonic() - self.started_at, 1),
            "models": {
                "loaded": self.engine.loaded,
                "names": names,
                "error": error and error.sentence,
            },
            "memory_mib": {
                "rss": rounded(usage.rss),
                "peak": rounded(usage.peak),
                "limit": rounded(usage.limit),
                "cgroup": rounded(usage.cgroup),
                "percent": rounded(usage.percent),
            },
            "queue": {"inside": self.admission.visits, "places": self.admission.places},
        }

    def check_started(self) -> None:
        """Raise ``ModelError`` or ``Busy`` while models that load at start never were loaded.

        Those that were unloaded since come back with the next photo.
        """
        if self.eager and not self.engine.started:
            raise self.engine.failure or Busy("The models are being loaded.")

    def check_ready(self) -> None:
        """Raise the ``Unavailable`` that a photo sent now would get."""
        self.check_started()
        self.admission.check()
        if self.engine.failure is not None and self.engine.resting:
            raise self.engine.failure

    def _models(self) -> tuple[dict[str, str], ModelError | None]:
        try:
            return self.engine.models, self.engine.failure
        except ModelError as error:
            return {}, error
