"""The body of a request, counted while it streams in: limits hold whatever a header says.

Nothing is written to disk: on Cloud Run the disk is memory as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anpr.errors import MalformedRequest, PayloadTooLarge

# What is left of a refused body is read and dropped by the server, so that the client gets to see
# the answer (a closed connection would hide it); more than this is not worth it
MAX_DROPPED_BYTES: Final = 64 * 1024 * 1024


class BodyTooSlow(MalformedRequest):
    """The rest is not waited for: the answer closes the connection."""

    sentence = "The request's body did not arrive in time."


class ClientGone(Exception):
    """The client closed the connection: there is nobody to answer to."""


async def chunks(
    receive: Receive, headers: Headers, *, limit: int, timeout_s: float
) -> AsyncIterator[bytes]:
    """The body in the pieces it arrives in, at most ``limit`` bytes and ``timeout_s`` in all.

    Raises ``PayloadTooLarge`` (at once where Content-Length admits it), ``BodyTooSlow`` and
    ``ClientGone``.
    """
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise PayloadTooLarge
    ends = asyncio.get_running_loop().time() + timeout_s
    size, more = 0, True
    while more:
        try:
            async with asyncio.timeout_at(ends):
                message = await receive()
        except TimeoutError as error:
            raise BodyTooSlow from error
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge
        if chunk:
            yield chunk


async def until_gone(receive: Receive) -> None:
    """Return when the client has closed the connection. The body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


class CloseUnread:
    """ASGI middleware: who is answered before the end of an endless body is disconnected."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _may_be_endless(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        unread = True

        async def read() -> Message:
            nonlocal unread
            message = await receive()
            unread = message.get("more_body", False)
            return message

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and unread:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, read, closing)


def _may_be_endless(headers: Headers) -> bool:
    declared = headers.get("content-length", "")
    if declared.isdecimal():
        return int(declared[:20]) > MAX_DROPPED_BYTES
    return "transfer-encoding" in headers
