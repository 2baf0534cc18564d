from __future__ import annotations

import pytest

from tests.server.harness import Service, photo


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/openapi.json", "/v1/plates"])
def test_every_answer_is_guarded(path: str) -> None:
    headers = Service().get(path).headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/health", "/livez", "/metrics", "/openapi.json", "/nowhere"])
def test_head_is_get_without_the_body(path: str) -> None:
    service = Service()
    head, get = service("HEAD", path), service.get(path)

    assert head.status_code == get.status_code
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.content == b""


def test_head_of_what_cannot_be_got_is_405() -> None:
    answer = Service()("HEAD", "/v1/plates", content=photo())

    assert answer.status_code == 405
    assert answer.headers["allow"] == "OPTIONS, POST"
