"""What is in memory: loaded once, dropped when idle or in the way, never while it is used."""

from __future__ import annotations

import threading
import time

import pytest

from anpr.errors import ModelMissing
from anpr.models.residency import Residency


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Memory:
    """What the process holds."""

    def __init__(self) -> None:
        self.mib = 50.0

    def __call__(self) -> float:
        return self.mib


class Sized:
    """A model that takes so much memory while it is loaded."""

    def __init__(self, memory: Memory, mib: float = 10.0, seconds: float = 0.0) -> None:
        self._memory = memory
        self._mib = mib
        self._seconds = seconds
        self.loads = 0
        self.loaded = False
        self.failure: Exception | None = None
        self.begins_at = 0.0

    name = "sized@00000000"

    def load(self) -> None:
        if self.failure:
            raise self.failure
        self.begins_at = self._memory.mib
        time.sleep(self._seconds)
        self.loads += 1
        self.loaded = True
        self._memory.mib += self._mib

    def unload(self) -> None:
        assert self.loaded
        self.loaded = False
        self._memory.mib -= self._mib


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_fifty_first_requests_at_once_load_once(memory: Memory) -> None:
    residency, model = Residency(held_mib=memory), Sized(memory, seconds=0.05)
    together = threading.Barrier(50)
    seen = []

    def request() -> None:
        together.wait(10)
        with residency.lease(model):
            seen.append(model.loaded)

    threads = [threading.Thread(target=request) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 50
    assert model.loads == 1


def test_it_stays_after_its_lease_and_tells_its_size(memory: Memory) -> None:
    residency, model = Residency(held_mib=memory), Sized(memory, mib=30)
    assert not residency.holds(model)
    with residency.lease(model):
        assert residency.holds(model)
    assert residency.holds(model)
    assert (residency.resident_mib, residency.resident_models) == (30, 1)


def test_what_is_leased_is_not_unloaded(memory: Memory) -> None:
    residency, model, other = Residency(held_mib=memory), Sized(memory), Sized(memory)
    residency.load(other)
    with residency.lease(model), residency.lease(model):
        assert residency.unload() == 1
        assert (model.loaded, other.loaded) == (True, False)
    assert residency.unload() == 1
    assert not model.loaded
    assert residency.unload() == 0


def test_only_what_is_not_in_memory_is_forgotten(memory: Memory) -> None:
    residency, model = Residency(budget_mib=25, held_mib=memory), Sized(memory, mib=30)
    residency.load(model)
    residency.forget(model)
    assert residency.holds(model)
    residency.unload()
    assert not residency.fits([model])  # its size is known
    residency.forget(model)
    assert residency.fits([model])


def test_a_lease_ends_with_an_error_too(memory: Memory) -> None:
    residency, model, broken = Residency(held_mib=memory), Sized(memory), Sized(memory)
    broken.failure = ModelMissing()
    with pytest.raises(ModelMissing), residency.lease(model, broken):
        pass
    assert not residency.holds(broken)
    assert residency.unload() == 1
    broken.failure = None
    residency.load(broken)
    assert residency.holds(broken)


def test_what_is_idle_for_too_long_goes(memory: Memory, clock: Clock) -> None:
    residency = Residency(idle_s=60, held_mib=memory, clock=clock)
    early, late = Sized(memory), Sized(memory)
    assert residency.next_idle_s() is None
    residency.load(early)
    clock.now += 40
    residency.load(late)
    assert residency.next_idle_s() == 20
    clock.now += 20
    assert residency.next_idle_s() == 0
    assert residency.unload(idle=True) == 1
    assert (early.loaded, late.loaded) == (False, True)


def test_the_clock_starts_anew_with_every_use(memory: Memory, clock: Clock) -> None:
    residency, model = Residency(idle_s=60, held_mib=memory, clock=clock), Sized(memory)
    for _ in range(3):
        with residency.lease(model):
            clock.now += 100  # in use, however long
            assert residency.next_idle_s() is None
            assert residency.unload(idle=True) == 0
        clock.now += 59
        assert residency.unload(idle=True) == 0
    assert model.loads == 1


def test_without_an_idle_time_nothing_goes_by_itself(memory: Memory, clock: Clock) -> None:
    residency, model = Residency(held_mib=memory, clock=clock), Sized(memory)
    residency.load(model)
    clock.now += 1e6
    assert residency.next_idle_s() is None
    assert residency.unload(idle=True) == 0


def test_the_longest_unused_makes_room(memory: Memory, clock: Clock) -> None:
    residency = Residency(budget_mib=25, held_mib=memory, clock=clock)
    models = [Sized(memory) for _ in range(3)]
    for model in (*models[:2], models[0]):
        clock.now += 1
        residency.load(model)
    residency.load(models[2])
    assert [model.loaded for model in models] == [True, False, True]


def test_once_its_size_is_known_room_is_made_before_it_comes(memory: Memory, clock: Clock) -> None:
    residency = Residency(budget_mib=25, held_mib=memory, clock=clock)
    small, large = Sized(memory, mib=10), Sized(memory, mib=20)
    residency.load(large)
    clock.now += 1
    residency.load(small)
    assert not residency.fits([small, large])
    assert residency.fits([small])
    large.begins_at = -1.0
    residency.load(large)
    assert large.begins_at == 50
    assert not small.loaded


def test_a_lease_comes_before_the_budget(memory: Memory) -> None:
    residency = Residency(budget_mib=15, held_mib=memory)
    first, second = Sized(memory), Sized(memory)
    with residency.lease(first, second):
        assert first.loaded
        assert second.loaded
    residency.load(Sized(memory))
    assert residency.resident_models == 1


def test_models_of_unknown_size_may_fit(memory: Memory) -> None:
    assert Residency(budget_mib=1, held_mib=memory).fits([Sized(memory)])
