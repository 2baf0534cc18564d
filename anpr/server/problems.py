"""Every error as ``application/problem+json`` (RFC 9457), the framework's own included.

Strangers get the public sentence of an ``AnprError``; whatever else goes wrong is logged and
answered with one general sentence. Nothing that was sent is echoed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anpr.errors import (
    AnprError,
    Draining,
    InvalidOption,
    ModelError,
    OutOfMemory,
    SourceError,
    Unauthorized,
    Unavailable,
)
from anpr.record import PROBLEM_TYPE, problem_record
from anpr.server.body import BodyTooSlow, ClientGone
from anpr.server.logs import request_id

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request

MEDIA_TYPE: Final = "application/problem+json"
# What nginx logs for a client that closed the connection; nobody receives it
CLIENT_GONE: Final = 499

logger = logging.getLogger(__name__)


def _respond(record: dict[str, Any], headers: Mapping[str, str] | None) -> Response:
    content = record | {"request_id": request_id()}
    return JSONResponse(content, record["status"], headers, media_type=MEDIA_TYPE)


def from_error(error: AnprError) -> Response:
    headers: dict[str, str] = {}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, Draining | BodyTooSlow):
        headers["Connection"] = "close"
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="anpr"'
    return _respond(problem_record(error), headers)


def from_status(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A problem for a bare HTTP status, such as the router's 404."""
    name = HTTPStatus(status)
    slug = name.phrase.lower().replace(" ", "-")
    return _respond(
        {
            "type": PROBLEM_TYPE + slug,
            "title": name.phrase,
            "status": status,
            "detail": f"{name.description or name.phrase}.",
        },
        headers,
    )


def install(app: FastAPI) -> None:
    """Handlers for what endpoints and the router raise."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    async def on_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, AnprError)  # noqa: S101 - registered for nothing else
        request.state.log["problem"] = error.slug
        if isinstance(error, SourceError):
            logger.info("%s: %r", error.slug, error.__cause__)
        elif isinstance(error, ModelError) or error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("%s: %s", error.slug, error, exc_info=error.__cause__)
        return from_error(error)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = _allowed(headers.get("Allow", ""))
            if request.method == "OPTIONS":
                return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
        return from_status(error.status_code, headers)

    async def on_invalid(request: Request, error: Exception) -> Response:
        return from_error(InvalidOption())

    async def on_gone(request: Request, error: Exception) -> Response:
        return Response(status_code=CLIENT_GONE)

    async def on_memory(request: Request, error: Exception) -> Response:
        logger.error("memory ran out", exc_info=error)
        return from_error(OutOfMemory())

    app.add_exception_handler(AnprError, on_error)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(ClientGone, on_gone)
    app.add_exception_handler(MemoryError, on_memory)


def _allowed(methods: str) -> str:
    """What the router names, with the methods that are answered for every path."""
    names = {name.strip() for name in methods.split(",") if name.strip()} | {"OPTIONS"}
    if "GET" in names:
        names.add("HEAD")
    return ", ".join(sorted(names))


class CatchAll:
    """ASGI middleware: an exception that nobody expected becomes a 500 that says nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            logger.exception("an error that nobody expected")
            if started:
                raise
            await from_error(AnprError())(scope, receive, send)


def example(error: type[AnprError]) -> dict[str, Any]:
    """For the API's description."""
    return problem_record(error()) | {"request_id": "5f0c8f8e4b5c4e0d9a56d7b3a1d0c2e4"}
