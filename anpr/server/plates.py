"""``POST /v1/plates``: one image in, its plates out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import JSONResponse

from anpr.deadline import Deadline
from anpr.errors import EmptyImage
from anpr.record import result_record
from anpr.server.body import ClientGone, until_gone
from anpr.server.submission import Limits, Submission, receive_submission

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive

    from anpr.server.admission import Admission
    from anpr.server.engine import Engine
    from anpr.server.source import Source
    from anpr.types import Result

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlatesEndpoint:
    admission: Admission
    engine: Engine
    source: Source
    limits: Limits
    deadline_s: float
    observe: Callable[[Result, float], None] | None = None

    async def __call__(self, request: Request) -> JSONResponse:
        with self.admission.place():
            submission = await receive_submission(
                request.receive, request.headers, request.query_params.multi_items(), self.limits
            )
            result, fetch_ms = await unless_gone(request.receive, self._serve(submission))
        if self.observe:
            self.observe(result, fetch_ms)
        request.state.log["plates"] = len(result)
        logger.debug("read %s", [plate.text for plate in result])
        return JSONResponse(result_record(result, fetch_ms=fetch_ms))

    async def _serve(self, submission: Submission) -> tuple[Result, float]:
        """Fetch if need be, then read. The deadline covers both, and not the queue between."""
        image, fetch_s = submission.image, 0.0
        if submission.url is not None:
            started = time.perf_counter()
            image = await self.source.fetch(submission.url, Deadline(self.deadline_s))
            fetch_s = time.perf_counter() - started
        if not image:
            raise EmptyImage
        left = max(0.001, self.deadline_s - fetch_s)
        result = await self.admission.run(
            lambda deadline: self.engine.read(image, submission.options, deadline), left
        )
        return result, fetch_s * 1000


async def unless_gone(receive: Receive, job: Coroutine[Any, Any, T]) -> T:
    """``await job``, but cancel it and raise ``ClientGone`` when the client hangs up."""
    work = asyncio.ensure_future(job)
    watch = asyncio.ensure_future(until_gone(receive))
    try:
        await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientGone
        return work.result()
    finally:
        for task in (work, watch):
            task.cancel()
        await asyncio.gather(work, watch, return_exceptions=True)
