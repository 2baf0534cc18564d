"""Models are loaded once, and then kept out of the collector's sight."""

from __future__ import annotations

import gc
import time

import pytest

from anpr import memory
from anpr.deadline import Deadline
from anpr.errors import ModelMissing, ModelUnusable
from anpr.server.engine import Engine
from anpr.server.options import Options
from tests.server.harness import Service, photo


def engine_of(service: Service) -> Engine:
    return Engine(service.recognizer)


def test_loading_freezes_once() -> None:
    engine = engine_of(Service())
    memory.unfreeze()
    engine.load()
    frozen = gc.get_freeze_count()
    assert frozen > 0

    kept = [[] for _ in range(1000)]  # type: ignore[var-annotated]
    engine.load()
    engine.read(photo(), Options(), Deadline())
    assert gc.get_freeze_count() <= frozen
    assert kept


def test_after_unloading_it_loads_and_freezes_again() -> None:
    service = Service()
    engine = engine_of(service)
    engine.load()
    frozen = gc.get_freeze_count()
    service.recognizer.unload()
    # from Python 3.12 on, immortal objects stay frozen
    assert gc.get_freeze_count() < frozen / 10

    engine.read(photo(), Options(), Deadline())
    assert gc.get_freeze_count() > frozen / 2


def test_a_collection_is_quick_once_frozen() -> None:
    engine_of(Service()).load()
    started = time.perf_counter()
    gc.collect()

    assert time.perf_counter() - started < 0.02


def test_after_a_failure_it_rests_until_it_is_time_to_try_again() -> None:
    service = Service()
    engine = engine_of(service)
    service.detector.load_failure = ModelMissing()
    with pytest.raises(ModelMissing):
        engine.load()
    assert isinstance(engine.failure, ModelMissing)
    assert engine.resting

    service.detector.load_failure.retry_after_s = -1
    assert not engine.resting
    assert engine.failure


def test_what_nobody_foresaw_is_a_failure_too() -> None:
    service = Service()
    engine = engine_of(service)
    service.detector.load_failure = PermissionError("no")
    with pytest.raises(ModelUnusable):
        engine.load()
    assert isinstance(engine.failure, ModelUnusable)
    assert isinstance(engine.failure.__cause__, PermissionError)

    service.detector.load_failure = MemoryError()  # there may be room the next time
    with pytest.raises(MemoryError):
        engine.load()
