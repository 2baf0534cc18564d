"""Who may come in: one image at a time, a short queue, and nobody when memory is short.

A request takes a *place* before its body is read, so that the memory of all bodies is bounded;
where no place is free it is refused at once. Reading plates needs the one *slot* as well, and
the slot is held until the worker thread has really ended, also when the client has gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from anpr import memory
from anpr.deadline import Deadline
from anpr.errors import Busy, Draining, OutOfMemory

T = TypeVar("T")


class Headroom:
    """Is there memory for another image? What the kernel cannot take back, against the limit.

    ``release`` hands freed memory back, some milliseconds; ``last_resort`` gives up what can be
    had again, such as models that nobody uses now.
    """

    def __init__(
        self,
        reject_percent: float,
        *,
        used: Callable[[], float] = memory.held_mib,
        limit: Callable[[], float | None] = memory.limit_mib,
        release: Callable[[], object] = memory.release,
        last_resort: Callable[[], object] = lambda: None,
    ) -> None:
        self._share = reject_percent / 100
        self._used = used
        self._limit = limit
        self._release = release
        self._last_resort = last_resort

    @property
    def short(self) -> bool:
        limit = self._limit()
        return limit is not None and self._used() > limit * self._share

    def check(self) -> None:
        """Raise ``OutOfMemory`` if memory is short after all was given back that can be."""
        for give_back in (self._release, self._last_resort):
            if not self.short:
                return
            give_back()
        if self.short:
            raise OutOfMemory


class Admission:
    def __init__(self, *, queue_size: int, queue_timeout_s: float, headroom: Headroom) -> None:
        self.places = queue_size + 1
        self._queue_timeout_s = queue_timeout_s
        self.headroom = headroom
        self._visits: set[asyncio.Task[object]] = set()
        self._slot = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="anpr")
        self.draining = False
        self._ended = False

    @property
    def visits(self) -> int:
        """Requests inside: those that are served, wait, or still send their body."""
        return len(self._visits)

    @property
    def idle(self) -> bool:
        return not self._visits and not self._slot.locked()

    @property
    def waiting(self) -> int:
        return max(0, len(self._visits) - self._slot.locked())

    def check(self) -> None:
        """Raise ``Draining``, ``Busy`` or ``OutOfMemory`` if a request would be refused now.

        Gives back memory, as for a request: else a probe would keep photos away for want of memory
        that the next photo would free.
        """
        if self.draining:
            raise Draining
        if len(self._visits) >= self.places:
            raise Busy
        self.headroom.check()

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place for the running task. Raises as ``check`` does."""
        self.check()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - an async caller has one
        self._visits.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self._ended:
                raise
            task.uncancel()
            raise Draining from None
        finally:
            self._visits.discard(task)

    async def run(self, work: Callable[[Deadline], T], seconds: float | None = None) -> T:
        """``work(deadline)`` in the worker thread, once the slot is free.

        The deadline begins when the wait is over. When the caller is cancelled the deadline is,
        too; the slot stays taken until the thread has ended. Raises ``Busy`` after too long a
        wait.
        """
        try:
            async with asyncio.timeout(self._queue_timeout_s):
                await self._slot.acquire()
        except TimeoutError as error:
            raise Busy from error
        if self._ended:
            self._slot.release()
            raise Draining
        loop = asyncio.get_running_loop()

        def free(_: Future[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has gone: so has the queue
                loop.call_soon_threadsafe(self._slot.release)

        deadline = Deadline(seconds)
        job = self._thread.submit(contextvars.copy_context().run, work, deadline)
        job.add_done_callback(free)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            deadline.cancel()
            raise

    def drain(self) -> None:
        """From now on nobody comes in; who is inside may finish."""
        self.draining = True

    def end(self) -> None:
        """End whoever is still inside: each gets ``Draining``. Closes the worker thread."""
        self.drain()
        if self._ended:
            return
        self._ended = True
        for task in self._visits:
            task.cancel()
        self._thread.shutdown(wait=False)
