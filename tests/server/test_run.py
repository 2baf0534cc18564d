"""The service as a process, and how it ends."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.harness import Service, photo, serving, until

ROOT = Path(__file__).parents[2]
# The real `serve`, with a detector that takes as long as it is told to
PROGRAM = """
import sys, time
from anpr import deadline
from anpr.pipeline import Recognizer
from anpr.server import app, run
from anpr.settings import Settings
from tests.server.harness import SmallDetector, SmallReader

class SlowDetector(SmallDetector):
    def detect(self, image):
        ends = time.monotonic() + float(sys.argv[2])
        while time.monotonic() < ends:
            deadline.current().check()
            time.sleep(0.01)
        return super().detect(image)

def create(settings):
    recognizer = Recognizer(settings, detector=SlowDetector(), reader=SmallReader())
    return app.create_app(settings, recognizer)

run.create_app = create
run.serve(Settings(), "127.0.0.1", int(sys.argv[1]))
"""


class Process:
    def __init__(self, seconds: float, drain_s: float) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.popen = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM, str(self.port), str(seconds)],
            cwd=ROOT,
            env=os.environ | {"ANPR_DRAIN_S": str(drain_s)},
            stderr=subprocess.PIPE,
        )

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def wait_until_it_answers(self) -> None:
        for _ in range(500):
            try:
                connection = self.connection()
                connection.request("GET", "/readyz")
                assert connection.getresponse().status == 200
                connection.close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("it does not answer")

    def send_photo(self) -> http.client.HTTPConnection:
        connection = self.connection()
        connection.request("POST", "/v1/plates", photo())
        return connection

    def end(self) -> tuple[int, list[dict[str, object]]]:
        """The exit status, and what was logged."""
        _, errors = self.popen.communicate(timeout=10)
        return self.popen.returncode, [json.loads(line) for line in errors.splitlines()]


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for process in started:
        process.popen.kill()
        process.popen.communicate()


def answer_of(connection: http.client.HTTPConnection) -> tuple[int, dict[str, object], str]:
    response = connection.getresponse()
    content = json.loads(response.read())
    closing = response.headers.get("connection", "")
    connection.close()
    return response.status, content, closing


def test_sigterm_lets_the_running_photo_finish_and_refuses_others(
    processes: list[Process],
) -> None:
    process = Process(seconds=1.0, drain_s=8)
    processes.append(process)
    process.wait_until_it_answers()
    running = process.send_photo()
    time.sleep(0.3)
    process.popen.send_signal(signal.SIGTERM)
    time.sleep(0.2)

    status, problem, closing = answer_of(process.send_photo())
    assert (status, problem["type"], closing) == (503, "urn:anpr:problem:draining", "close")
    status, content, _ = answer_of(running)
    assert status == 200
    assert content["plates"]
    code, logged = process.end()
    assert code == 0
    assert [one["status"] for one in logged if one["logger"] == "anpr.access"] == [200, 503, 200]


def test_what_takes_longer_than_the_drain_is_ended() -> None:
    service = Service()
    service.detector.go_on.clear()

    async def scenario() -> None:
        async with serving(service, drain_s=0.2) as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST /v1/plates HTTP/1.1\r\nHost: a\r\nContent-Length: {len(photo())}\r\n\r\n"
            writer.write(head.encode() + photo())
            await until(service.detector.begun.is_set)
            server.handle_exit(signal.SIGTERM, None)
            answer = await asyncio.wait_for(reader.read(), 3)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"urn:anpr:problem:draining" in answer
            writer.close()
            await writer.wait_closed()

    asyncio.run(scenario())


def test_without_a_photo_it_ends_at_once() -> None:
    async def scenario() -> None:
        async with serving(Service(), drain_s=60) as (server, _):
            server.handle_exit(signal.SIGTERM, None)
            await until(lambda: server.should_exit)

    asyncio.run(scenario())


def test_a_second_signal_does_not_wait() -> None:
    service = Service()
    service.detector.go_on.clear()

    async def scenario() -> None:
        async with serving(service, drain_s=60) as (server, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST /v1/plates HTTP/1.1\r\nHost: a\r\nContent-Length: {len(photo())}\r\n\r\n"
            writer.write(head.encode() + photo())
            await until(service.detector.begun.is_set)
            server.handle_exit(signal.SIGINT, None)
            await asyncio.sleep(0.15)
            assert not server.should_exit
            server.handle_exit(signal.SIGINT, None)
            assert server.should_exit
            writer.close()
            await writer.wait_closed()

    asyncio.run(scenario())
