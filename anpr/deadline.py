"""A time limit for one request, which also ends a model's run that is under way.

A ``Deadline`` is entered by whoever answers for the request (the pipeline or the server). Lower
rooms find it through ``current()``: they call ``check()`` between steps, and register what can be
ended from another thread (ONNX Runtime's ``RunOptions``) with ``interruptible()``. ``cancel()``
may be called from any thread, by the timer or because the client has gone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import TracebackType

from anpr.errors import DeadlineExceeded


class Deadline:
    """At most ``seconds`` from its creation; ``None`` sets no limit, but can still be cancelled.

    As a context manager it is current for its thread (and for contexts copied from it), and a
    timer cancels what runs when the time is over.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._ends = None if seconds is None else time.monotonic() + seconds
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._stops: list[Callable[[], None]] = []
        self._timer: threading.Timer | None = None
        self._token: Token[Deadline | None] | None = None

    def remaining(self) -> float | None:
        """Seconds left, at least 0; ``None`` where there is no limit."""
        if self._cancelled.is_set():
            return 0.0
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    def check(self) -> None:
        """Raise ``DeadlineExceeded`` when the time is over or the request was cancelled."""
        if self.remaining() == 0.0:
            raise DeadlineExceeded

    def cancel(self) -> None:
        """End what runs now and whatever starts later under this deadline."""
        with self._lock:
            self._cancelled.set()
            for stop in self._stops:
                stop()

    @contextmanager
    def interruptible(self, stop: Callable[[], None]) -> Iterator[None]:
        """While inside, ``stop`` is called when the deadline passes or is cancelled."""
        with self._lock:
            self._stops.append(stop)
            if self._cancelled.is_set():
                stop()
        try:
            yield
        finally:
            with self._lock:
                self._stops.remove(stop)

    def __enter__(self) -> Deadline:
        self._token = _CURRENT.set(self)
        left = self.remaining()
        if left is not None:
            self._timer = threading.Timer(left, self.cancel)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._token is not None:
            _CURRENT.reset(self._token)


_CURRENT: ContextVar[Deadline | None] = ContextVar("anpr_deadline", default=None)
_NONE = Deadline()


def current() -> Deadline:
    """The deadline of the running request; one without a limit where there is none."""
    return _CURRENT.get() or _NONE
