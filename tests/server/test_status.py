"""Probes, health, and the list of models."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from anpr.errors import ModelMissing
from anpr.server import schemas
from anpr.server.app import create_app
from anpr.settings import Settings
from tests.server.harness import Service, photo, slug, until


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
def test_a_lazy_service_is_ready_at_once(path: str) -> None:
    service = Service()
    answer = service.get(path)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert not service.recognizer.loaded


def test_health_tells_models_memory_and_queue() -> None:
    service = Service(queue_size=3)
    before = schemas.Health.model_validate(service.get("/health").json())
    service.post(content=photo())
    after = schemas.Health.model_validate(service.get("/health").json())

    assert (before.status, before.models.loaded, after.models.loaded) == ("ok", False, True)
    assert after.models.names["detector"] == "small-detector@00000001"
    assert after.models.error is None
    assert 10 < after.memory_mib.rss <= after.memory_mib.peak + 50
    assert (after.queue.inside, after.queue.places) == (0, 4)


def test_an_eager_service_is_started_when_its_models_are_loaded() -> None:
    service = Service(load="eager")
    go_on = threading.Event()
    service.detector.load_gate = go_on

    async def scenario() -> None:
        for path in ("/startupz", "/readyz"):
            answer = await service.send("GET", path)
            assert (answer.status_code, slug(answer)) == (503, "busy")
        assert (await service.send("GET", "/livez")).status_code == 200
        photo_before = asyncio.ensure_future(service.send("POST", "/v1/plates", content=photo()))
        go_on.set()
        await until(lambda: service.recognizer.loaded)
        assert (await photo_before).status_code == 200
        for path in ("/startupz", "/readyz"):
            assert (await service.send("GET", path)).status_code == 200

    service.run(scenario)


def test_an_eager_service_without_its_models_lives_and_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service(load="eager")
    service.detector.load_failure = ModelMissing("The model file 'x.onnx' is missing.")

    async def scenario() -> None:
        await until(lambda: "x.onnx" in caplog.text)
        answer = await service.send("GET", "/startupz")
        assert (answer.status_code, slug(answer)) == (503, "model-missing")
        assert answer.headers["retry-after"] == "60"
        assert (await service.send("GET", "/livez")).status_code == 200

    service.run(scenario)


def test_a_lazy_service_without_its_models_is_not_ready_once_it_knows() -> None:
    service = Service()
    service.detector.load_failure = ModelMissing()
    answer = service.post(content=photo())

    assert (answer.status_code, slug(answer)) == (503, "model-missing")
    assert slug(service.get("/readyz")) == "model-missing"
    assert service.get("/health").json()["models"]["error"] == "A model file is missing."
    assert service.get("/startupz").status_code == 200


def test_after_a_rest_it_is_ready_to_try_again() -> None:
    service = Service()
    service.detector.load_failure = ModelMissing()
    service.post(content=photo())
    assert service.get("/readyz").status_code == 503
    service.detector.load_failure.retry_after_s = -1
    assert service.get("/readyz").status_code == 200


def test_it_becomes_ready_again_when_they_are_back() -> None:
    service = Service()
    service.detector.load_failure = ModelMissing()
    service.post(content=photo())
    service.detector.load_failure = None

    assert service.post(content=photo()).status_code == 200
    assert service.get("/readyz").status_code == 200


def test_a_folder_without_weights_is_told_not_thrown(tmp_path: Path) -> None:
    service = Service()
    service.app = create_app(Settings(weights_dir=tmp_path))

    health = service.get("/health")
    assert health.status_code == 200
    assert health.json()["models"]["error"]
    assert service.get("/v1/models").status_code == 503
    assert service.post(content=photo()).status_code == 503
