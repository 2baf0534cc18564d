"""Images by URL: fetched in threads of their own, so that a slow source holds up nobody."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from anpr.deadline import Deadline
from anpr.errors import UrlNotAllowed
from anpr.pipeline import make_fetcher

if TYPE_CHECKING:
    from anpr.fetch import Fetcher
    from anpr.settings import Settings

MAX_THREADS: Final = 8
_TURNED_OFF: Final = "Images by URL are turned off here."


class Source:
    def __init__(self, settings: Settings, fetcher: Fetcher | None = None) -> None:
        self._settings = settings
        threads = min(MAX_THREADS, settings.queue_size + 1)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="anpr-fetch")
        self._lock = threading.Lock()
        self._fetcher = fetcher

    async def fetch(self, url: str, deadline: Deadline) -> bytes:
        """What lies behind ``url``. Raises ``SourceError``, ``MalformedRequest`` or
        ``DeadlineExceeded``; when the caller is cancelled, so is the deadline.
        """
        context = contextvars.copy_context()
        job = self._threads.submit(context.run, self._fetch, url, deadline)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            deadline.cancel()
            raise

    def close(self) -> None:
        self._threads.shutdown(wait=False)

    def _fetch(self, url: str, deadline: Deadline) -> bytes:
        from anpr.fetch import is_data_url

        if not self._settings.fetch_enabled and not is_data_url(url):
            raise UrlNotAllowed(_TURNED_OFF)
        with deadline:
            deadline.check()
            return self._ready().fetch(url)

    def _ready(self) -> Fetcher:
        """Made, and its libraries imported, with the first URL."""
        with self._lock:
            if self._fetcher is None:
                self._fetcher = make_fetcher(self._settings)
            return self._fetcher
