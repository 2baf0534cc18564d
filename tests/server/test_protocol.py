"""What arrives on a real socket, and what is no request of ours."""

from __future__ import annotations

import asyncio

import pytest

from anpr.server import protocol
from tests.server.harness import Service, photo, serving, until


async def exchange(port: int, *pieces: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    return answer


def post(body: bytes, *headers: str) -> bytes:
    lines = ["POST /v1/plates HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_a_photo_over_a_real_socket() -> None:
    async def scenario() -> None:
        async with serving(Service()) as (_, port):
            answer = await exchange(port, post(photo(), "Connection: close"))
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"server:" not in answer.lower()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40_000,
    ],
    ids=["text", "tls", "no host", "no number", "two lengths", "long head"],
)
def test_what_is_not_http_is_a_problem(head: bytes) -> None:
    async def scenario() -> None:
        async with serving(Service()) as (_, port):
            answer = await exchange(port, head)
            assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert b"application/problem+json" in answer
            assert b"urn:anpr:problem:malformed-request" in answer

    asyncio.run(scenario())


def test_a_head_that_never_comes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.05)

    async def scenario() -> None:
        async with serving(Service()) as (_, port):
            assert await exchange(port) == b""
            assert await exchange(port, b"GET /livez HT") == b""

    asyncio.run(scenario())


def test_what_is_left_of_a_refused_body_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "REST_TIMEOUT_S", 0.1)

    async def scenario() -> None:
        async with serving(Service()) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 60000000\r\n\r\n")
            assert (await reader.read(100)).startswith(b"HTTP/1.1 200 OK\r\n")
            writer.write(b"a")
            assert await asyncio.wait_for(reader.read(), 5)  # the rest of the answer, and the end
            writer.close()

            # a body that is complete in time leaves the connection open for the next request
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = b"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
            writer.write(head + b"a")
            await reader.readuntil(b"}")
            writer.write(b"b")
            await asyncio.sleep(0.3)
            writer.write(head + b"ab")
            assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"}"), 5)
            writer.close()

    asyncio.run(scenario())


def test_too_many_connections_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 1)

    async def scenario() -> None:
        async with serving(Service()) as (server, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            await until(lambda: len(server.server_state.connections) == 1)
            answer = await exchange(port)
            assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert b"Retry-After: 1\r\n" in answer
            writer.close()
            await writer.wait_closed()

    asyncio.run(scenario())


def test_a_refused_upload_sees_its_answer() -> None:
    """The rest is read and dropped: a closed connection would hide the 413 from the client."""

    async def scenario() -> None:
        async with serving(Service(max_image_bytes=1000)) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(post(bytes(3_000_000), "Content-Type: image/png"))
            assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    asyncio.run(scenario())


def test_a_client_that_hangs_up_is_noticed() -> None:
    service = Service()
    service.detector.go_on.clear()

    async def scenario() -> None:
        async with serving(service) as (_, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(post(photo()))
            await until(service.detector.begun.is_set)
            writer.close()
            await writer.wait_closed()
            await until(lambda: service.app.state.admission.idle)

    asyncio.run(scenario())
