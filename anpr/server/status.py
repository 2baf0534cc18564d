"""Is it alive, started, ready? And what does it hold: for probes, monitors and people."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from anpr import memory
from anpr.errors import Busy, ModelError
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

    def health(self) -> dict[str, Any]:
        """Cheap, and 200 for as long as anybody can answer."""
        names, error = self._models()
        limit = memory.limit_mib()
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
                "rss": round(memory.rss_mib(), 1),
                "peak": round(memory.peak_mib(), 1),
                "limit": None if limit is None else round(limit, 1),
            },
            "queue": {"inside": self.admission.visits, "places": self.admission.places},
        }

    def check_started(self) -> None:
        """Raise ``ModelError`` or ``Busy`` while models that load at start are not loaded."""
        if self.eager and not self.engine.loaded:
            raise self.engine.failure or Busy("The models are being loaded.")

    def check_ready(self) -> None:
        """Raise the ``Unavailable`` that a photo sent now would get."""
        self.check_started()
        self.admission.check()
        if self.engine.failure is not None and self.engine.resting:
            raise self.engine.failure

    def models(self) -> dict[str, Any]:
        """Raises ``ModelError``."""
        names = self.engine.models
        return {
            "loaded": self.engine.loaded,
            "models": [{"role": role, "name": name} for role, name in names.items()],
        }

    def _models(self) -> tuple[dict[str, str], ModelError | None]:
        try:
            return self.engine.models, self.engine.failure
        except ModelError as error:
            return {}, error
