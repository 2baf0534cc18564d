"""The service as a process: uvicorn, one worker, and a graceful end.

uvicorn alone closes its listening socket at SIGTERM, so that new clients are refused by the
kernel. Here the socket stays open while photos are still being read: new requests get a 503 that
says why, and the process ends when the last photo is done, or ``drain_s`` later at most.
"""

from __future__ import annotations

import logging
import time
from types import FrameType
from typing import TYPE_CHECKING, Final

import uvicorn

from anpr.server.app import create_app
from anpr.server.logs import configure
from anpr.server.protocol import KEEP_ALIVE_S, MAX_HEAD_BYTES, Protocol

if TYPE_CHECKING:
    from fastapi import FastAPI

    from anpr.server.admission import Admission
    from anpr.settings import Settings

# For answers under way after everything was ended
LAST_CALL_S: Final = 1

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Drains before it closes the listening socket; a second signal ends it at once."""

    def __init__(self, config: uvicorn.Config, admission: Admission, drain_s: float) -> None:
        super().__init__(config)
        self._admission = admission
        self._drain_s = drain_s
        self._ends: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._ends is not None or not self.started:
            self.should_exit = self.force_exit = True
            return
        self._ends = time.monotonic() + self._drain_s
        self._admission.drain()

    async def on_tick(self, counter: int) -> bool:
        if self._ends is not None:
            late = time.monotonic() >= self._ends
            if late:
                self._admission.end()
            self.should_exit = self.should_exit or late or self._admission.idle
        return await super().on_tick(counter)


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Owns the process: its logs and its signals."""
    configure(settings.log_level)
    app = create_app(settings)
    server = Server(configuration(app, host, port), app.state.admission, settings.drain_s)
    server.run()


def configuration(app: FastAPI, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Protocol,
        ws="none",
        loop="asyncio",
        workers=1,
        access_log=False,  # it would log queries; ours does not
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=LAST_CALL_S,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
