"""``/v1/models``: what there is, and who may change it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from anpr.errors import ModelMissing
from anpr.models import manifest
from anpr.models.intake import Intake
from anpr.models.store import Store
from anpr.server import schemas
from anpr.settings import Settings
from tests.models import samples
from tests.server.harness import Service, photo, slug, until

WEIGHTS = Settings().weights_dir
ADMIN = {"x-api-key": "admin-key"}
ACTIONS = ["load", "unload", "verify", "prune", "clear"]


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(api_keys="reader-key", admin_keys="admin-key", cache_dir=str(tmp_path / "cache"))


@pytest.fixture
def stored(service: Service, tmp_path: Path) -> Path:
    store = Store(tmp_path / "cache" / "models")
    intake = Intake(store, WEIGHTS, 1_000_000)
    return intake.take(samples.detector(tmp_path / "a.onnx"), "mine").path


def act(service: Service, action: str, **options: object) -> dict[str, object]:
    answer = service("POST", f"/v1/models/{action}", headers=ADMIN, **options)
    assert answer.status_code == 200, answer.text
    told: dict[str, object] = answer.json()
    return told


def test_what_there_is_is_listed_with_what_is_used(service: Service, stored: Path) -> None:
    answer = service.get("/v1/models", headers=ADMIN)
    told = schemas.Models.model_validate(answer.json())
    assert [(one.role, one.name) for one in told.models] == [
        ("detector", "small-detector@00000001"),
        ("reader", "small-reader@00000002"),
    ]
    assert {one.name for one in told.available} == {*manifest.read(WEIGHTS), "mine"}
    assert {one.state for one in told.available} == {"present"}
    assert told.statistics.health == "good"
    assert str(stored.parent) not in answer.text


@pytest.mark.parametrize("action", ACTIONS)
def test_without_an_admin_key_nothing_is_done(service: Service, stored: Path, action: str) -> None:
    path = f"/v1/models/{action}"
    refused = service("POST", path)
    assert (refused.status_code, slug(refused)) == (401, "unauthorized")
    assert refused.headers["www-authenticate"].startswith("Bearer")
    unknown = service("POST", path, headers={"authorization": "Bearer wrong"})
    assert unknown.status_code == 401
    reader = service("POST", path, headers={"authorization": "Bearer reader-key"})
    assert (reader.status_code, slug(reader)) == (403, "forbidden")
    assert stored.exists()


@pytest.mark.parametrize("action", ACTIONS)
def test_without_any_admin_key_it_is_switched_off(tmp_path: Path, action: str) -> None:
    service = Service(cache_dir=str(tmp_path))
    for headers in ({}, ADMIN):
        answer = service("POST", f"/v1/models/{action}", headers=headers)
        assert (answer.status_code, slug(answer)) == (403, "forbidden")
        assert "switched off" in answer.json()["detail"]


def test_an_admin_key_alone_leaves_reading_open(tmp_path: Path) -> None:
    service = Service(admin_keys="admin-key", cache_dir=str(tmp_path))
    assert service.post(content=photo()).status_code == 200
    assert service.get("/v1/models").status_code == 200
    assert service("POST", "/v1/models/load").status_code == 401
    assert service("POST", "/v1/models/load", headers=ADMIN).status_code == 200


def test_models_are_loaded_and_unloaded(service: Service) -> None:
    assert act(service, "load")["loaded"] is True
    assert service.recognizer.loaded
    assert act(service, "unload")["loaded"] is False
    assert not service.recognizer.loaded


def test_models_that_cannot_be_loaded(service: Service) -> None:
    service.detector.load_failure = ModelMissing()
    answer = service("POST", "/v1/models/load", headers=ADMIN)
    assert (answer.status_code, slug(answer)) == (503, "model-missing")


def test_verify_tells_of_each_model_and_puts_aside_what_is_damaged(
    service: Service, stored: Path
) -> None:
    assert act(service, "verify")["whole"] is True
    stored.write_bytes(b"damaged")
    told = act(service, "verify", params={"name": "mine"})
    assert told == {"whole": False, "models": [{"name": "mine", "state": "damaged"}]}
    assert not stored.exists()
    answer = service("POST", "/v1/models/verify", headers=ADMIN, params={"name": "none"})
    assert (answer.status_code, slug(answer)) == (404, "model-unknown")


def test_prune_says_what_it_frees(service: Service, stored: Path) -> None:
    stored.write_bytes(b"damaged")
    told = act(service, "prune", params={"dry_run": "true"})
    assert told["freed_bytes"] == 7
    assert stored.exists()
    assert act(service, "prune") == told
    assert not stored.exists()
    assert act(service, "prune") == {"freed_bytes": 0, "removed": []}
    answer = service("POST", "/v1/models/prune", headers=ADMIN, params={"dry_run": "perhaps"})
    assert (answer.status_code, slug(answer)) == (422, "invalid-option")


def test_clear_removes_what_was_imported(service: Service, stored: Path) -> None:
    freed = act(service, "clear")["freed_bytes"]
    assert isinstance(freed, int)
    assert freed > 100
    assert not stored.exists()


@pytest.mark.parametrize("action", ["prune", "clear"])
def test_a_store_that_is_switched_off(action: str) -> None:
    service = Service(admin_keys="admin-key", cache_disabled=True)
    answer = service("POST", f"/v1/models/{action}", headers=ADMIN)
    assert (answer.status_code, slug(answer)) == (409, "store-disabled")
    assert service.get("/v1/models").status_code == 200


def test_management_waits_for_the_photo_that_is_being_read(service: Service) -> None:
    service.detector.go_on.clear()

    async def scenario() -> None:
        reading = asyncio.ensure_future(
            service.send("POST", "/v1/plates", content=photo(), headers=ADMIN)
        )
        await until(service.detector.begun.is_set)
        unloading = asyncio.ensure_future(service.send("POST", "/v1/models/unload", headers=ADMIN))
        listing = await service.send("GET", "/v1/models", headers=ADMIN)
        assert listing.json()["loaded"] is True
        assert not unloading.done()
        service.detector.go_on.set()
        assert (await reading).status_code == 200
        assert (await unloading).json()["loaded"] is False

    service.run(scenario)


def test_the_description_asks_for_keys_where_there_are_any(service: Service) -> None:
    paths = service.app.openapi()["paths"]
    for action in ACTIONS:
        operation = paths[f"/v1/models/{action}"]["post"]
        assert len(operation["security"]) == 2
        assert {"401", "403", "503"} <= set(operation["responses"])
    off = Service().app.openapi()["paths"]["/v1/models/load"]["post"]
    assert "security" not in off
    assert "403" in off["responses"]
