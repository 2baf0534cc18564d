"""What a request may look like, and what it may not."""

from __future__ import annotations

import base64
import contextlib
import json
import tracemalloc
from typing import Any

import pytest

from anpr.errors import AnprError
from anpr.server import submission
from tests.server.harness import Service, photo, slug

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def service() -> Service:
    return Service(max_image_bytes=20_000, fetch_enabled=False)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "options",
    [
        {"json": {}},
        {"json": {"top_n": 1}},
        {"json": {"image_url": None}},
        {"json": {"image_url": ""}},
        {"json": {"image_url": " ", "image_base64": "QQ=="}},
        {"json": {"image_url": 5}},
        {"json": {"image_base64": ["QQ=="]}},
        {"json": {"image": "QQ=="}},
        {"json": {"image_url": "https://a.example/", "image_base64": "QQ=="}},
        {"json": []},
        {"json": "text"},
        {"content": b"{", "headers": JSON},
        {"content": b"", "headers": JSON},
        {"content": b"\xff\xfe{", "headers": JSON},
        {"content": b'{"image_url": NaN}', "headers": JSON},
        {"content": b'{"a":' * 1000, "headers": JSON},
        {"content": b"[" * 4000, "headers": JSON},
        {"content": b'{"top_n": ' + b"1" * 5000 + b"}", "headers": JSON},
        {"data": {"image_url": ""}},
        {"data": {"top_n": "1"}},
        {"content": b"image_url=%ff", "headers": FORM},
        {"content": b"image_url=\xff", "headers": FORM},
        {"content": b"&".join([b"image_url=a"] * 40), "headers": FORM},
        {"files": [("image", ("a", photo())), ("image", ("b", photo()))]},
        {"files": {"image": ("a", photo())}, "data": {"image_url": "https://a.example/"}},
        {"files": {"photo": ("a", photo())}},
        {"files": {"image_url": ("a", b"\xff")}},
        {"content": photo(), "params": {"image_url": "https://a.example/"}},
    ],
)
def test_what_is_not_one_image_is_malformed(service: Service, options: dict[str, Any]) -> None:
    answer = service.post(**options)

    assert (answer.status_code, slug(answer)) == (400, "malformed-request")


def test_json_with_masses_of_members_is_refused_before_it_is_parsed() -> None:
    content = b'{"a": [' + b"{}," * 100_000 + b"{}]}"
    answer = Service().post(content=content, headers=JSON)

    assert answer.status_code == 400
    assert "too many members" in answer.json()["detail"]


def test_a_large_json_body_is_ascii() -> None:
    content = json.dumps({"image_base64": "é" * 70_000}, ensure_ascii=False).encode()
    answer = Service().post(content=content, headers=JSON)

    assert answer.status_code == 400
    assert "ASCII" in answer.json()["detail"]


@pytest.mark.parametrize(
    "options",
    [
        {"content": b""},
        {"content": b"", "headers": FORM},
        {"content": b"", "headers": {"content-type": "image/jpeg"}},
        {"json": {"image_base64": ""}},
        {"json": {"image_base64": "data:image/png;base64,"}},
        {"files": {"image": ("a.jpg", b"")}},
    ],
)
def test_an_image_without_bytes_is_empty(service: Service, options: dict[str, Any]) -> None:
    answer = service.post(**options)

    assert (answer.status_code, slug(answer)) == (400, "empty-image")


@pytest.mark.parametrize(
    "options",
    [
        {"content": bytes(20_001)},
        {"content": bytes(20_001), "headers": {"content-type": "image/jpeg"}},
        {"content": photo() + bytes(20_000)},
        {"files": {"image": ("a.jpg", bytes(20_001))}},
        {"json": {"image_base64": encoded(bytes(20_001))}},
        {"json": {"image_base64": encoded(bytes(200_000))}},
        {"json": {"image_url": "data:;base64," + encoded(bytes(200_000))}},
        {"content": b"image_url=" + b"a" * 70_000, "headers": FORM},
        {"files": {"top_n": (None, "1" * 5000), "image": ("a.jpg", photo())}},
    ],
    ids=range(9),
)
def test_more_than_the_limit_is_too_large(service: Service, options: dict[str, Any]) -> None:
    answer = service.post(**options)

    assert (answer.status_code, slug(answer)) == (413, "payload-too-large")


def test_an_image_of_exactly_the_limit_is_read() -> None:
    data = photo() + bytes(5000)
    service = Service(max_image_bytes=len(data))

    assert service.post(content=data).status_code == 200
    assert service.post(files={"image": ("a", data)}).status_code == 200
    assert service.post(json={"image_base64": encoded(data)}).status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(encoded(photo())[i : i + 76] for i in range(0, 2000, 76)),
        encoded(photo() + b"x").rstrip("="),
        "DATA:image/jpeg;charset=x;BASE64," + encoded(photo()),
    ],
    ids=["line ends", "no padding", "capitals"],
)
def test_base64_as_it_is_found_in_the_wild(service: Service, text: str) -> None:
    assert service.post(json={"image_base64": text}).status_code == 200


@pytest.mark.parametrize(
    "text",
    ["a", "=", "====", "Q=Q=", "QQ==QQ==", "é", "QQ$=", "data:image/png,abc", "data:"],
)
def test_broken_base64_is_malformed(service: Service, text: str) -> None:
    answer = service.post(json={"image_base64": text})

    assert (answer.status_code, slug(answer)) == (400, "malformed-request")


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/octet-stream"])
def test_json_is_known_by_its_content(service: Service, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    body = json.dumps({"image_base64": encoded(photo())}).encode()

    assert service.post(content=b" \n" + body, headers=headers).status_code == 200


def test_a_declared_image_is_not_taken_for_json(service: Service) -> None:
    answer = service.post(
        content=b'{"image_base64": "QQ=="}', headers={"content-type": "image/png"}
    )

    assert (answer.status_code, slug(answer)) == (415, "unsupported-image")


def test_text_that_curl_calls_a_form_is_judged_as_an_image(service: Service) -> None:
    answer = service.post(content=b"hello", headers=FORM)

    assert (answer.status_code, slug(answer)) == (415, "unsupported-image")


def test_what_browsers_leave_empty_does_not_count(service: Service) -> None:
    with_file = {"image": ("a.jpg", photo()), "image_url": (None, "")}
    with_text = {"image": ("", b""), "image_base64": (None, encoded(photo()))}

    assert service.post(files=with_file).status_code == 200
    assert service.post(files=with_text).status_code == 200


def test_members_that_nobody_knows_are_ignored(service: Service) -> None:
    answer = service.post(files={"image": ("a", photo()), "camera": (None, b"\xff\xfe")})

    assert answer.status_code == 200


def test_nothing_that_was_sent_is_echoed(service: Service) -> None:
    answer = service.post(
        json={"image_base64": "secret$", "top_n": "secret"}, params={"min_confidence": "secret"}
    )

    assert answer.status_code == 422
    assert "secret" not in answer.text


def test_white_space_in_base64_costs_little() -> None:
    text = "AA " * 300_000
    tracemalloc.start()
    try:
        with contextlib.suppress(AnprError):
            submission._decode_base64(text, 10_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(text)
