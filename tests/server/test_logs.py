"""One JSON object a line, and no personal data in it."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from anpr.server import logs
from tests.server.harness import TEXT, Service, photo


class Lines(logging.Handler):
    """What would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logs.JsonFormatter())
        self.entries: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.entries.append(json.loads(self.format(record)))

    def access(self) -> dict[str, Any]:
        (entry,) = [one for one in self.entries if one["logger"] == "anpr.access"]
        return entry


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    logger = logging.getLogger("anpr")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel("INFO")
    yield handler
    logger.setLevel(level)
    logger.removeHandler(handler)


def test_one_line_a_request(lines: Lines) -> None:
    Service().post(content=photo(), headers={"x-request-id": "abc-1"}, params={"top_n": 7})

    entry = lines.access()
    assert entry["severity"] == "INFO"
    assert entry["request_id"] == "abc-1"
    assert entry["method"] == "POST"
    assert entry["path"] == "/v1/plates"
    assert entry["status"] == 200
    assert entry["plates"] == 1
    assert entry["duration_ms"] > 0
    assert entry["time"].endswith("+00:00")


def test_no_plate_and_no_query_at_info(lines: Lines) -> None:
    service = Service()
    service.post(content=photo(), params={"min_confidence": "0.123"})
    service.post(json={"image_url": "http://127.0.0.1/secret?token=1"})

    everything = json.dumps(lines.entries)
    assert TEXT not in everything
    assert "0.123" not in everything
    assert "token" not in everything
    assert "secret" not in everything


def test_debug_logs_the_texts(lines: Lines) -> None:
    logging.getLogger("anpr").setLevel("DEBUG")
    Service().post(content=photo())

    assert TEXT in json.dumps(lines.entries)


@pytest.mark.parametrize("sent", ["abc", "A1._:-x", "a" * 128])
def test_a_well_formed_id_comes_back(sent: str) -> None:
    answer = Service().get("/nowhere", headers={"x-request-id": sent})

    assert answer.headers["x-request-id"] == sent
    assert answer.json()["request_id"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "a" * 129, "-a", 'a"b', "é", "a\tb", "<a>"])
def test_another_id_is_replaced(sent: str) -> None:
    answer = Service().get("/livez", headers={"x-request-id": sent.encode()})

    assert answer.headers["x-request-id"] != sent
    assert len(answer.headers["x-request-id"]) == 32


def test_a_path_cannot_forge_a_line(lines: Lines) -> None:
    Service().get("/a%0A{%22severity%22:%22ERROR%22}" + "b" * 5000)

    assert lines.access()["path"].startswith('/a\n{"sev')
    assert len(lines.access()["path"]) == 200


def test_an_exception_is_part_of_its_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.LogRecord(
            "x", logging.ERROR, "f", 1, "went %s", ("wrong",), sys.exc_info()
        )
    entry = json.loads(logs.JsonFormatter().format(record))

    assert entry["message"] == "went wrong"
    assert "ValueError: broken" in entry["exception"]
    assert "request_id" not in entry


def test_configuring_replaces_the_handlers() -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure("WARNING")
        (handler,) = root.handlers
        assert isinstance(handler.formatter, logs.JsonFormatter)
        assert root.level == logging.WARNING
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
