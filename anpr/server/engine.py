"""The recognizer as the service uses it: loaded once, then out of the collector's sight."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from anpr import memory
from anpr.errors import ModelError, ModelUnusable

if TYPE_CHECKING:
    from anpr.deadline import Deadline
    from anpr.pipeline import Recognizer
    from anpr.server.options import Options
    from anpr.types import Result

logger = logging.getLogger(__name__)


class Engine:
    """Blocking calls for one worker thread, and what the event loop may ask about them."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self._failure: ModelError | None = None
        self._failed_at = 0.0
        self._started = False

    @property
    def loaded(self) -> bool:
        return self._recognizer.loaded

    @property
    def started(self) -> bool:
        """Were the models loaded at least once? What was unloaded since comes back by itself."""
        return self._started

    @property
    def models(self) -> dict[str, str]:
        """Raises ``ModelError``."""
        return dict(self._recognizer.models)

    @property
    def failure(self) -> ModelError | None:
        """Why the models could not be loaded when that was last tried."""
        return self._failure

    @property
    def resting(self) -> bool:
        """Is it too early to try again after a failure?"""
        failure = self._failure
        return failure is not None and time.monotonic() < self._failed_at + failure.retry_after_s

    def load(self) -> None:
        """Load the models if they are not loaded. Raises ``ModelError``.

        This is the one place of the service that freezes what the collector sees: the pipeline
        unfreezes it when it unloads.
        """
        if self._recognizer.loaded:
            self._started = True
            return
        started = time.perf_counter()
        try:
            self._recognizer.load()
        except MemoryError:  # there may be room the next time
            raise
        except Exception as error:
            known = error if isinstance(error, ModelError) else ModelUnusable()
            self._failure, self._failed_at = known, time.monotonic()
            if known is error:
                raise
            raise known from error
        self._failure = None
        self._started = True
        if self._recognizer.loaded:  # under a small budget they come and go with each photo
            memory.freeze()
            logger.info("models loaded in %.0f ms", (time.perf_counter() - started) * 1000)

    def unload(self, *, wait: bool = True) -> bool:
        """Give the models' memory back; the next photo loads them again. Whether all are gone.

        Waits for the photo that is being read, or without ``wait`` leaves it alone.
        """
        held = self._recognizer.holding
        gone = self._recognizer.unload(wait=wait)
        if gone and held:
            logger.info("models unloaded; %.0f MiB resident", memory.rss_mib())
        return gone

    def unload_idle(self) -> bool:
        """Unload what was idle for too long; whether anything was."""
        gone = self._recognizer.unload_idle()
        if gone:
            logger.info("idle models unloaded; %.0f MiB resident", memory.rss_mib())
        return gone

    def tidy(self) -> None:
        """For quiet moments: unload what was idle for too long, or keep compiled forms."""
        if not self.unload_idle() and self._recognizer.compilable:
            kept = self._recognizer.compile()
            memory.release()
            logger.info("%d compiled models kept for the next start", len(kept))

    def read(self, image: bytes, options: Options, deadline: Deadline) -> Result:
        """Raises ``AnprError``."""
        self.load()
        return self._recognizer.read(
            image,
            top_n=options.top_n,
            regions=options.regions,
            min_confidence=options.min_confidence,
            deadline=deadline,
        )
