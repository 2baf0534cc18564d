"""Bodies that are too large, too slow, or never end."""

from __future__ import annotations

import asyncio

import pytest

from tests.server.harness import Call, Service, photo


def test_a_declared_excess_is_refused_at_once() -> None:
    service = Service()

    async def scenario() -> None:
        call = Call(service, headers={"content-length": "99999999999999999999999999999999999"})
        status, headers, problem = await call.answer(1)
        assert (status, problem["type"]) == (413, "urn:anpr:problem:payload-too-large")
        assert headers["connection"] == "close"

    service.run(scenario)


@pytest.mark.parametrize("declared", ["5", "-1", "x", "²"])
def test_what_is_declared_is_not_trusted(declared: str) -> None:
    service = Service(max_image_bytes=1000)

    async def scenario() -> None:
        call = Call(service, headers={"content-length": declared, "content-type": "image/jpeg"})
        for _ in range(11):
            call.feed(bytes(100))
        status, _, problem = await call.answer(1)
        assert (status, problem["type"]) == (413, "urn:anpr:problem:payload-too-large")

    service.run(scenario)


def test_an_endless_body_is_disconnected() -> None:
    service = Service(max_image_bytes=1000)

    async def scenario() -> None:
        headers = {"transfer-encoding": "chunked", "content-type": "image/jpeg"}
        call = Call(service, headers=headers)
        call.feed(bytes(1001))
        status, headers, _ = await call.answer(1)
        assert (status, headers["connection"]) == (413, "close")

    service.run(scenario)


def test_a_chunked_body_that_ends_keeps_the_connection() -> None:
    service = Service()

    async def scenario() -> None:
        call = Call(service, headers={"transfer-encoding": "chunked"})
        for byte in photo():
            call.feed(bytes([byte]))
        call.finish()
        status, headers, _ = await call.answer()
        assert status == 200
        assert "connection" not in headers

    service.run(scenario)


def test_a_body_that_drips_is_ended() -> None:
    """The time is for the whole body: bytes that keep coming do not prolong it."""
    service = Service(body_timeout_s=0.1)

    async def scenario() -> None:
        call = Call(service)
        while not call.task.done():
            call.feed(b"x")
            await asyncio.sleep(0.01)
        status, headers, problem = await call.answer()
        assert (status, problem["type"]) == (400, "urn:anpr:problem:malformed-request")
        assert "in time" in problem["detail"]
        assert headers["connection"] == "close"

    service.run(scenario)
