"""One at a time, a short queue, nobody when memory is short."""

from __future__ import annotations

import asyncio
import threading

import pytest

from anpr.errors import Draining, OutOfMemory
from anpr.server.admission import Admission, Headroom
from tests.server.harness import Call, Service, photo, until


class Memory:
    """What a process uses, and what it gives back."""

    def __init__(self, used: float, limit: float | None, after: float | None = None) -> None:
        self.used, self.limit, self.after = used, limit, used if after is None else after
        self.released = 0

    def headroom(self, percent: float = 90) -> Headroom:
        return Headroom(
            percent, used=lambda: self.used, limit=lambda: self.limit, release=self.release
        )

    def release(self) -> None:
        self.released += 1
        self.used = self.after


def test_memory_below_the_share_is_fine() -> None:
    memory = Memory(used=899, limit=1000)
    memory.headroom().check()

    assert memory.released == 0


def test_no_limit_is_never_short() -> None:
    assert not Memory(used=10_000, limit=None).headroom().short


def test_freed_memory_is_handed_back_before_anybody_is_refused() -> None:
    memory = Memory(used=950, limit=1000, after=400)
    memory.headroom().check()

    assert memory.released == 1


def test_the_last_resort_comes_last() -> None:
    memory = Memory(used=950, limit=1000)
    given_up = []

    def give_up() -> None:
        given_up.append(memory.released)
        memory.used = 400

    Headroom(
        90,
        used=lambda: memory.used,
        limit=lambda: memory.limit,
        release=memory.release,
        last_resort=give_up,
    ).check()
    assert given_up == [1]


def test_memory_that_stays_short_refuses() -> None:
    with pytest.raises(OutOfMemory):
        Memory(used=950, limit=1000).headroom().check()


def test_who_asks_gets_the_answer_that_a_photo_would_get() -> None:
    """A probe that refused for want of memory would keep the photo away that frees it."""
    memory = Memory(used=950, limit=1000, after=400)
    Admission(queue_size=1, queue_timeout_s=1, headroom=memory.headroom()).check()
    assert memory.released == 1


def test_one_photo_at_a_time() -> None:
    service = Service(queue_size=8)

    async def scenario() -> None:
        answers = await asyncio.gather(
            *(service.send("POST", "/v1/plates", content=photo()) for _ in range(9))
        )
        assert [answer.status_code for answer in answers] == [200] * 9
        assert service.detector.most_together == 1

    service.run(scenario)


def test_more_than_the_queue_holds_are_refused_before_their_body_is_read() -> None:
    service = Service(queue_size=1)
    service.detector.go_on.clear()

    async def scenario() -> None:
        inside = [Call(service), Call(service)]
        for call in inside:
            call.finish(photo())
        await until(lambda: service.app.state.admission.visits == 2)
        status, headers, problem = await Call(service).answer()
        assert (status, problem["type"]) == (503, "urn:anpr:problem:busy")
        assert headers["retry-after"] == "1"
        assert (await service.send("GET", "/readyz")).status_code == 503
        service.detector.go_on.set()
        for call in inside:
            assert (await call.answer())[0] == 200

    service.run(scenario)


def test_nobody_waits_longer_than_the_queue_allows() -> None:
    service = Service(queue_timeout_s=0.03)
    service.detector.go_on.clear()

    async def scenario() -> None:
        first, second = Call(service), Call(service)
        first.finish(photo())
        await until(service.detector.begun.is_set)
        second.finish(photo())
        status, _, problem = await second.answer()
        assert (status, problem["type"]) == (503, "urn:anpr:problem:busy")
        service.detector.go_on.set()
        assert (await first.answer())[0] == 200

    service.run(scenario)


def test_the_slot_is_held_until_the_thread_has_ended() -> None:
    """A client that has gone must not let two photos into memory at once."""
    service = Service()
    service.detector.go_on.clear()

    async def scenario() -> None:
        calls = [Call(service) for _ in range(4)]
        for call in calls:
            call.finish(photo())
        await until(service.detector.begun.is_set)
        for call in calls[:3]:
            call.hang_up()
        service.detector.go_on.set()
        assert (await calls[3].answer())[0] == 200
        assert service.detector.most_together == 1

    service.run(scenario)


def test_draining_lets_those_inside_finish_and_nobody_else_in() -> None:
    service = Service()
    service.detector.go_on.clear()
    admission = service.app.state.admission

    async def scenario() -> None:
        running, waiting = Call(service), Call(service)
        running.finish(photo())
        waiting.finish(photo())
        await until(lambda: service.detector.begun.is_set() and admission.visits == 2)
        admission.drain()
        status, headers, problem = await Call(service).answer()
        assert (status, problem["type"]) == (503, "urn:anpr:problem:draining")
        assert headers["connection"] == "close"
        assert headers["retry-after"] == "1"
        assert (await service.send("GET", "/readyz")).status_code == 503
        assert (await service.send("GET", "/livez")).status_code == 200
        assert (await service.send("GET", "/health")).json()["status"] == "draining"
        assert not admission.idle
        service.detector.go_on.set()
        assert (await running.answer())[0] == 200
        assert (await waiting.answer())[0] == 200
        await until(lambda: admission.idle)

    service.run(scenario)


def test_the_end_ends_whoever_is_still_inside() -> None:
    service = Service()
    service.detector.go_on.clear()
    admission = service.app.state.admission

    async def scenario() -> None:
        running, waiting, sending = Call(service), Call(service), Call(service)
        running.finish(photo())
        await until(service.detector.begun.is_set)
        waiting.finish(photo())
        sending.feed(photo()[:10])
        await until(lambda: admission.visits == 3)
        admission.end()
        for call in (running, waiting, sending):
            status, headers, problem = await call.answer(1)
            assert (status, problem["type"]) == (503, "urn:anpr:problem:draining")
            assert headers["connection"] == "close"
        await until(lambda: admission.idle)

    service.run(scenario)


def test_who_waits_for_the_slot_at_the_end_gets_nothing() -> None:
    """Such as the loading of models: it is no request, and holds no place."""
    go_on = threading.Event()

    async def scenario() -> None:
        headroom = Memory(used=0, limit=None).headroom()
        admission = Admission(queue_size=0, queue_timeout_s=5, headroom=headroom)
        running = asyncio.ensure_future(admission.run(lambda _: go_on.wait(5)))
        await until(lambda: not admission.idle)
        waiting = asyncio.ensure_future(admission.run(lambda _: None))
        await asyncio.sleep(0)
        admission.end()
        admission.end()
        go_on.set()
        assert await running
        with pytest.raises(Draining):
            await waiting
        await until(lambda: admission.idle)

    asyncio.run(scenario())


def test_a_cancelled_caller_is_not_taken_for_the_end() -> None:
    service = Service()

    async def scenario() -> None:
        call = Call(service)
        await until(lambda: service.app.state.admission.visits == 1)
        call.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.task
        assert service.app.state.admission.idle

    service.run(scenario)


def test_no_memory_is_a_503() -> None:
    service = Service()
    service.app.state.admission.headroom = Memory(used=950, limit=1000).headroom()
    answer = service.post(content=photo())

    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:anpr:problem:out-of-memory"
    assert answer.headers["retry-after"] == "2"
    assert service.get("/readyz").status_code == 503
