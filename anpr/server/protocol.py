"""HTTP/1.1 as uvicorn speaks it, with limits on clients that never get as far as a request."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from anpr.errors import AnprError, Busy, MalformedRequest
from anpr.record import problem_record

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

# Longer than the idle time-out of the load balancers in front (AWS ALB: 60 s), which would
# otherwise send a request into a connection that is just being closed
KEEP_ALIVE_S: Final = 65
HEAD_TIMEOUT_S: Final = 10.0  # for request line and headers
REST_TIMEOUT_S: Final = 30.0  # for what is left of a body whose request was answered without it
MAX_HEAD_BYTES: Final = 16 * 1024
# Each costs some kilobytes and a file descriptor, of which 1,024 are usual
MAX_CONNECTIONS: Final = 512


class Protocol(H11Protocol):
    """Adds a time-out for the head of a request and for a body that nobody reads any more, a
    limit on connections, and problem details for what cannot be parsed as HTTP.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._timer: asyncio.TimerHandle | None = None
        self._seconds: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.write(_answer(Busy()))
            transport.close()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self.transport.write(_answer(MalformedRequest("This is not a valid HTTP request.")))
        self.transport.close()

    def _watch(self) -> None:
        """More data of the same kind does not start the time anew."""
        seconds = self._may_take()
        if seconds != self._seconds:
            self._stop_timer()
            if seconds is not None:
                self._timer = self.loop.call_later(seconds, self.transport.close)
            self._seconds = seconds

    def _may_take(self) -> float | None:
        """Seconds for what the client sends now; ``None`` while a request has a clock of its own.

        uvicorn's own timer for idle connections ends with the next byte, whatever it belongs to.
        """
        if self.conn.their_state is h11.IDLE:
            return HEAD_TIMEOUT_S
        answered = self.cycle is not None and self.cycle.response_complete
        return REST_TIMEOUT_S if answered and self.conn.their_state is h11.SEND_BODY else None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _answer(error: AnprError) -> bytes:
    """A whole response for a client that has no request of ours."""
    status = HTTPStatus(error.status)
    body = json.dumps(problem_record(error), separators=(",", ":")).encode()
    retry = f"Retry-After: {error.retry_after_s}\r\n" if isinstance(error, Busy) else ""
    head = (
        f"HTTP/1.1 {status} {status.phrase}\r\n"
        "Content-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\n{retry}"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
