"""One JSON object a line, with the id of the request it belongs to.

Plate texts and the queries of URLs are personal data: they are not logged at INFO.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = "X-Request-Id"
_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_LONGEST_PATH: Final = 200

_request_id: ContextVar[str] = ContextVar("anpr_request_id", default="")
access_log = logging.getLogger("anpr.access")


def request_id() -> str:
    """The id of the request that is being answered; empty outside of one."""
    return _request_id.get()


class JsonFormatter(logging.Formatter):
    """``time`` (RFC 3339), ``severity``, ``logger``, ``message``: names that Cloud Logging knows.

    What a call gives as ``extra={"fields": {...}}`` becomes members beside them.
    """

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "severity": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id():
            entry["request_id"] = request_id()
        entry.update(getattr(record, "fields", {}))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def configure(level: str) -> None:
    """Make the root logger write JSON to standard error. For whoever owns the process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # They log addresses with their queries
    for name in ("urllib3", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


class RequestLog:
    """ASGI middleware, the outermost: a request's id, and one line when it has ended.

    An id that the client sends is kept if it is well formed, and comes back with the answer.
    ``scope["state"]["log"]`` is a dict: what handlers put there becomes part of the line.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get(HEADER, "")
        identity = sent if _WELL_FORMED.fullmatch(sent) else uuid.uuid4().hex
        token = _request_id.set(identity)
        fields: dict[str, Any] = {}
        scope.setdefault("state", {})["log"] = fields
        status = 0
        started = time.perf_counter()

        async def stamped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = identity
            await send(message)

        try:
            await self._app(scope, receive, stamped)
        finally:
            fields["duration_ms"] = round((time.perf_counter() - started) * 1000, 1)
            method, path = scope["method"], scope["path"][:_LONGEST_PATH]
            fields |= {"method": method, "path": path, "status": status}
            access_log.info("%s %s %d", method, path, status, extra={"fields": fields})
            _request_id.reset(token)
