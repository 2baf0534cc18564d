"""The service's models: gone when idle, back with the next photo, and ready all the while."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from anpr import cgroup
from anpr.deadline import Deadline
from anpr.pipeline import Recognizer
from anpr.server.engine import Engine
from anpr.server.options import Options
from anpr.settings import Settings
from tests.scenes import car_photo
from tests.server.harness import Service, photo, slug, until


def test_a_timer_unloads_idle_models_and_a_photo_brings_them_back() -> None:
    service = Service(load="eager", model_idle_s=0.1)

    async def scenario() -> None:
        await until(lambda: service.recognizer.loaded)
        await until(lambda: not service.recognizer.loaded)
        for path in ("/startupz", "/readyz"):
            assert (await service.send("GET", path)).status_code == 200
        health = (await service.send("GET", "/health")).json()
        assert health["models"]["loaded"] is False
        assert (await service.send("POST", "/v1/plates", content=photo())).status_code == 200
        assert service.recognizer.loaded

    service.run(scenario)


def test_the_timer_leaves_a_photo_alone() -> None:
    service = Service(model_idle_s=0.05)
    service.detector.go_on.clear()

    async def scenario() -> None:
        answer = asyncio.ensure_future(service.send("POST", "/v1/plates", content=photo()))
        await until(service.detector.begun.is_set)
        await asyncio.sleep(0.3)
        assert service.recognizer.loaded
        service.detector.go_on.set()
        assert (await answer).status_code == 200

    service.run(scenario)


def test_the_timer_outlives_what_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    service = Service(load="eager", model_idle_s=0.1)
    unload, failures = service.recognizer.unload_idle, [OSError("once")]

    def unload_idle() -> bool:
        if failures:
            raise failures.pop()
        return unload()

    service.recognizer.unload_idle = unload_idle  # type: ignore[method-assign]

    async def scenario() -> None:
        await until(lambda: service.recognizer.loaded)
        await until(lambda: not service.recognizer.loaded)
        assert "once" in caplog.text

    service.run(scenario)


def test_the_timer_ends_with_the_app() -> None:
    service = Service(model_idle_s=0.05)

    async def scenario() -> None:
        async with service.app.router.lifespan_context(service.app):
            assert len(asyncio.all_tasks()) == 2
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())


def test_without_a_timer_idle_models_go_when_a_request_comes() -> None:
    service = Service(model_idle_s=0.01)  # and no lifespan, as on AWS Lambda

    async def scenario() -> None:
        await service.send("POST", "/v1/plates", content=photo())
        assert service.recognizer.loaded
        await asyncio.sleep(0.05)
        await service.send("GET", "/health")
        assert not service.recognizer.loaded

    asyncio.run(scenario())


def test_an_idle_time_of_zero_is_for_ever() -> None:
    service = Service(model_idle_s=0)

    async def scenario() -> None:
        await service.send("POST", "/v1/plates", content=photo())
        await asyncio.sleep(0.05)
        await service.send("GET", "/health")
        assert service.recognizer.loaded

    service.run(scenario)


def test_fifty_first_requests_at_once_load_once() -> None:
    service = Service(queue_size=50, queue_timeout_s=30)
    loads = []
    load = service.detector.load
    service.detector.load = lambda: (loads.append(1), load())[1]  # type: ignore[func-returns-value, method-assign]

    async def scenario() -> None:
        answers = await asyncio.gather(
            *(service.send("POST", "/v1/plates", content=photo()) for _ in range(50))
        )
        assert [answer.status_code for answer in answers] == [200] * 50

    service.run(scenario)
    assert len(loads) == 1


def test_unloading_by_hand(caplog: pytest.LogCaptureFixture) -> None:
    service = Service()
    engine = Engine(service.recognizer)
    engine.load()
    assert engine.started
    with caplog.at_level(logging.INFO):
        assert engine.unload()
        assert (engine.loaded, engine.started) == (False, True)
        assert engine.unload()
    assert caplog.text.count("models unloaded") == 1
    engine.read(photo(), Options(), Deadline())
    assert engine.loaded


def test_a_recognizer_that_was_loaded_before_is_a_start_too() -> None:
    service = Service()
    service.recognizer.load()
    engine = Engine(service.recognizer)
    assert not engine.started
    engine.load()
    assert engine.started


def test_what_a_batch_holds_is_not_unloaded_by_hand() -> None:
    service = Service()
    engine = Engine(service.recognizer)
    with service.recognizer.resident():
        assert not engine.unload()
        assert engine.loaded
    assert engine.unload(wait=False)


def test_a_quiet_moment_keeps_compiled_forms(tmp_path: Path) -> None:
    settings = Settings(cache_dir=str(tmp_path))
    recognizer = Recognizer(settings)
    engine = Engine(recognizer)
    engine.read(car_photo(), Options(), Deadline())
    assert recognizer.compilable
    engine.tidy()
    assert not recognizer.compilable
    assert len(list((tmp_path / "compiled").iterdir())) == 2
    assert engine.loaded


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A container that uses 1000 of 1024 MiB: 97.7 %."""
    monkeypatch.setattr(cgroup, "_ROOT", tmp_path)
    monkeypatch.setattr(cgroup, "_paths", lambda: ("/", "/"))
    (tmp_path / "memory.current").write_text(str(1000 << 20))
    (tmp_path / "memory.max").write_text(str(1024 << 20))
    return tmp_path


def test_near_the_limit_a_photo_gets_503_and_says_when_to_come_back(container: Path) -> None:
    service = Service()
    answer = service.post(content=photo())

    assert (answer.status_code, slug(answer)) == (503, "out-of-memory")
    assert answer.headers["retry-after"] == "2"
    assert slug(service.get("/readyz")) == "out-of-memory"
    health = service.get("/health")
    assert health.status_code == 200
    assert health.json()["memory_mib"]["percent"] == 97.7
    assert health.json()["memory_mib"]["cgroup"] == 1000


def test_models_that_nobody_uses_go_before_anybody_is_refused(
    container: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service()
    (container / "memory.current").write_text(str(500 << 20))
    service.post(content=photo())
    (container / "memory.current").write_text(str(1000 << 20))
    gone = []

    def unload() -> None:
        gone.append(1)
        (container / "memory.current").write_text(str(500 << 20))

    monkeypatch.setattr(service.detector, "unload", unload)
    assert service.post(content=photo()).status_code == 200
    assert gone == [1]


def test_page_cache_refuses_nobody(container: Path) -> None:
    (container / "memory.stat").write_text(f"active_file {300 << 20}\ninactive_file {300 << 20}\n")
    service = Service()

    answer = service.post(content=photo())
    assert answer.status_code == 200
    assert answer.json()["memory_mib"]["percent"] == pytest.approx(39.1, abs=0.1)
    assert answer.json()["memory_mib"]["cgroup"] == 1000


def test_the_share_is_a_setting(container: Path) -> None:
    assert Service(memory_reject_percent=99).post(content=photo()).status_code == 200
