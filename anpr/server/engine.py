"""The recognizer as the service uses it: loaded once, then out of the collector's sight."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from anpr import memory
from anpr.errors import ModelError

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

    @property
    def loaded(self) -> bool:
        return self._recognizer.loaded

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
            return
        started = time.perf_counter()
        try:
            self._recognizer.load()
        except ModelError as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise
        self._failure = None
        memory.freeze()
        logger.info("models loaded in %.0f ms", (time.perf_counter() - started) * 1000)

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
