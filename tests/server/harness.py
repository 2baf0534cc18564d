"""A service with small models, a client without a network, and requests that are sent piecemeal."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn
from PIL import Image as PillowImage

from anpr import deadline
from anpr.pipeline import Recognizer
from anpr.server.app import create_app
from anpr.server.run import Server, configuration
from anpr.settings import Settings
from anpr.types import Box, Candidate, Character, Detection, Reading

if TYPE_CHECKING:
    from fastapi import FastAPI

    from anpr.fetch import Fetcher
    from anpr.types import Image

TEXT = "AB12CDE"


class SmallDetector:
    """Finds one plate in every image; may be told to wait, or to fail."""

    name = "small-detector@00000001"

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.go_on.set()
        self.begun = threading.Event()
        self.failure: BaseException | None = None
        self.load_failure: Exception | None = None
        self.load_gate = threading.Event()
        self.load_gate.set()
        self.runs = 0
        self.together = 0
        self.most_together = 0

    def load(self) -> None:
        self.load_gate.wait(5)
        if self.load_failure:
            raise self.load_failure

    def unload(self) -> None:
        pass

    def detect(self, image: Image) -> list[Detection]:
        self.runs += 1
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        self.begun.set()
        try:
            while not self.go_on.wait(0.002):
                deadline.current().check()
            if self.failure:
                raise self.failure
        finally:
            self.together -= 1
        height, width = image.shape[:2]
        return [Detection(Box(width / 4, height / 4, width / 2, height / 2), 0.875)]


class SmallReader:
    name = "small-reader@00000002"

    def load(self) -> None:
        pass

    def unload(self) -> None:
        pass

    def read(self, crop: Image, *, top_n: int = 1) -> Reading:
        characters = tuple(Character(letter, 0.12345678) for letter in TEXT)
        return Reading(
            tuple(
                Candidate(
                    TEXT[:-1] + str(i) if i else TEXT,
                    0.5 ** (i + 1),
                    lines=(TEXT,),
                    characters=characters,
                )
                for i in range(top_n)
            )
        )


@functools.cache
def photo(width: int = 64, height: int = 48, format: str = "JPEG") -> bytes:
    file = io.BytesIO()
    PillowImage.new("RGB", (width, height), (90, 120, 60)).save(file, format)
    return file.getvalue()


class Service:
    """An app, its detector, and a client that calls it."""

    def __init__(self, *, fetcher: Fetcher | None = None, **settings: Any) -> None:
        self.settings = Settings(**settings)
        self.detector = SmallDetector()
        self.recognizer = Recognizer(self.settings, detector=self.detector, reader=SmallReader())
        self.app: FastAPI = create_app(self.settings, self.recognizer, fetcher)

    def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            return await self.send(method, path, **options)

        return asyncio.run(call())

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)

    def post(self, **options: Any) -> httpx.Response:
        return self("POST", "/v1/plates", **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self("GET", path, **options)

    def run(self, scenario: Callable[[], Awaitable[None]]) -> None:
        """``scenario`` inside the app's lifespan."""

        async def within() -> None:
            async with self.app.router.lifespan_context(self.app):
                await scenario()

        asyncio.run(within())


class Call:
    """One request whose body is sent piece by piece, and which may hang up."""

    def __init__(
        self,
        service: Service,
        *,
        method: str = "POST",
        path: str = "/v1/plates",
        headers: dict[str, str] | None = None,
        query: bytes = b"",
    ) -> None:
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": query,
            "headers": [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()],
            "client": ("test", 1),
            "server": ("test", 80),
        }
        self.task = asyncio.ensure_future(service.app(scope, self._incoming.get, self._send))

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    def feed(self, chunk: bytes, *, more: bool = True) -> None:
        self._incoming.put_nowait({"type": "http.request", "body": chunk, "more_body": more})

    def finish(self, body: bytes = b"") -> None:
        self.feed(body, more=False)

    def hang_up(self) -> None:
        self._incoming.put_nowait({"type": "http.disconnect"})

    async def answer(self, seconds: float = 5.0) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON."""
        await asyncio.wait_for(self.task, seconds)
        head = self.sent[0]
        body = b"".join(message.get("body", b"") for message in self.sent[1:])
        headers = {name.decode(): value.decode() for name, value in head["headers"]}
        return head["status"], headers, json.loads(body) if body else None


@asynccontextmanager
async def serving(service: Service, drain_s: float = 1.0) -> AsyncIterator[tuple[Server, int]]:
    """A real server on a port of the system's choosing, in this loop and without signals."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = configuration(service.app, "127.0.0.1", 0)
        server = Server(config, service.app.state.admission, drain_s)
        task = asyncio.ensure_future(uvicorn.Server._serve(server, [listener]))
        await until(lambda: server.started)
        try:
            yield server, listener.getsockname()[1]
        finally:
            server.should_exit = True
            await asyncio.wait_for(task, 5)


async def until(condition: Callable[[], bool], seconds: float = 3.0) -> None:
    """Wait for something that other tasks or threads bring about."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - threads bring it about as well
            await asyncio.sleep(0.002)


def slug(answer: httpx.Response) -> str:
    """The end of a problem's type; asserts that it is one."""
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert set(content) == {"type", "title", "status", "detail", "request_id"}
    assert content["status"] == answer.status_code
    assert content["request_id"] == answer.headers["x-request-id"]
    kind: str = content["type"]
    assert kind.startswith("urn:anpr:problem:")
    return kind.rpartition(":")[2]
