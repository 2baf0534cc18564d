"""Fetching in threads: policy from the settings, and an end when nobody waits any more."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from anpr.deadline import Deadline
from anpr.errors import DeadlineExceeded, SourceTooLarge, UrlNotAllowed
from anpr.fetch import FetchPolicy
from anpr.parts import make_fetcher
from anpr.server.source import Source
from anpr.settings import Settings
from tests import loopback


def fetch(source: Source, url: str, deadline: Deadline | None = None) -> bytes:
    async def run() -> bytes:
        return await source.fetch(url, deadline or Deadline(5))

    return asyncio.run(run())


def test_the_settings_are_the_policy() -> None:
    assert fetch(Source(Settings()), "data:,abc") == b"abc"
    with pytest.raises(SourceTooLarge):
        fetch(Source(Settings(max_image_bytes=2)), "data:,abc")
    for settings in (
        Settings(fetch_https_only=True),
        Settings(fetch_hosts=("photos.example",)),
        Settings(fetch_ports=(443,)),
    ):
        with pytest.raises(UrlNotAllowed):
            fetch(Source(settings), "http://192.0.2.1/")


def test_the_policy_has_every_limit_of_the_settings() -> None:
    limits: dict[str, Any] = {
        "https_only": True,
        "timeout_s": 1.5,
        "max_redirects": 1,
        "ports": (8443,),
        "hosts": ("photos.example",),
    }
    settings = Settings(
        max_image_bytes=1234, **{f"fetch_{name}": value for name, value in limits.items()}
    )
    assert make_fetcher(settings)._policy == FetchPolicy(max_bytes=1234, **limits)


def test_the_deadline_of_the_request_ends_a_fetch() -> None:
    with loopback.serve(lambda visit: visit.wait(5)) as server:
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            fetch(Source(Settings(), loopback.fetcher(server)), server.url(), Deadline(0.1))
        assert time.monotonic() - started < 2


def test_a_caller_that_goes_ends_the_fetch() -> None:
    with loopback.serve(lambda visit: visit.wait(5)) as server:
        source = Source(Settings(), loopback.fetcher(server))
        deadline = Deadline(5)

        async def run() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await source.fetch(server.url(), deadline)

        asyncio.run(run())
        assert deadline.remaining() == 0
        source.close()
