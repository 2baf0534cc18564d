"""Keys: who needs one, where it may stand, and that nothing keeps it."""

from __future__ import annotations

import gc

import pytest
from pydantic import SecretStr

from anpr.server.auth import Keys
from tests.server.harness import Service, photo, slug


@pytest.fixture(scope="module")
def service() -> Service:
    return Service(api_keys="first-key,second-key", admin_keys="admin-key")


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer first-key"},
        {"authorization": "bearer  second-key"},
        {"x-api-key": "second-key"},
        {"x-api-key": "admin-key"},
        {"authorization": "Bearer wrong", "x-api-key": "first-key"},
    ],
)
def test_a_key_opens(service: Service, headers: dict[str, str]) -> None:
    assert service.post(content=photo(), headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer"},
        {"authorization": "Basic first-key"},
        {"authorization": "first-key"},
        {"x-api-key": ""},
        {"x-api-key": "first-key,second-key"},
        {"x-api-key": "first-ke"},
        {"x-api-key": b"\xff\xfe".decode("latin-1")},
    ],
)
def test_anything_else_does_not(service: Service, headers: dict[str, str]) -> None:
    answer = service.post(
        content=photo(), headers={name: value.encode("latin-1") for name, value in headers.items()}
    )

    assert (answer.status_code, slug(answer)) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_key_is_asked_for_before_the_body_is_read(service: Service) -> None:
    assert service.post(content=bytes(11_000_000)).status_code == 401


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz", "/startupz"])
def test_health_is_open(service: Service, path: str) -> None:
    assert service.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/v1/models"])
def test_what_tells_more_is_not(service: Service, path: str) -> None:
    assert service.get(path).status_code == 401
    assert service.get(path, headers={"x-api-key": "first-key"}).status_code == 200


def test_without_keys_it_is_open_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    service = Service()

    assert caplog.text.count("open to all") == 1
    assert service.post(content=photo()).status_code == 200


def test_with_keys_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    Service(api_keys="k")

    assert "open to all" not in caplog.text


def test_keys_are_not_kept() -> None:
    keys = Keys([SecretStr("a-very-secret-key")], [])

    assert keys.needed
    assert not [one for one in gc.get_referents(keys) if "a-very-secret-key" in repr(one)]


def test_the_description_asks_for_keys_only_where_they_are_needed(service: Service) -> None:
    locked = service.app.openapi()["paths"]["/v1/plates"]["post"]
    unlocked = Service().app.openapi()["paths"]["/v1/plates"]["post"]

    assert len(locked["security"]) == 2
    assert "401" in locked["responses"]
    assert "security" not in unlocked
    assert "401" not in unlocked["responses"]
