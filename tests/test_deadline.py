from __future__ import annotations

import threading
import time

import pytest

from anpr.deadline import Deadline, current
from anpr.errors import DeadlineExceeded


def test_without_a_request_there_is_no_limit() -> None:
    assert current().remaining() is None
    current().check()


def test_the_entered_deadline_is_current_and_then_no_more() -> None:
    with Deadline(5) as deadline:
        assert current() is deadline
        assert 0 < (deadline.remaining() or 0) <= 5
    assert current() is not deadline


def test_a_passed_deadline_raises() -> None:
    deadline = Deadline(0.01)
    time.sleep(0.02)
    with pytest.raises(DeadlineExceeded):
        deadline.check()


def test_the_timer_stops_what_runs() -> None:
    stopped = threading.Event()
    with Deadline(0.02) as deadline, deadline.interruptible(stopped.set):
        assert stopped.wait(2)


def test_cancelling_stops_what_runs_and_what_starts_later() -> None:
    early, late = threading.Event(), threading.Event()
    deadline = Deadline()
    with deadline.interruptible(early.set):
        threading.Thread(target=deadline.cancel).start()
        assert early.wait(2)
    with deadline.interruptible(late.set):
        assert late.is_set()
    with pytest.raises(DeadlineExceeded):
        deadline.check()


def test_what_has_ended_is_not_stopped() -> None:
    stopped = threading.Event()
    deadline = Deadline()
    with deadline.interruptible(stopped.set):
        pass
    deadline.cancel()
    assert not stopped.is_set()


def test_another_thread_has_its_own_deadline() -> None:
    seen: list[float | None] = []
    with Deadline(5):
        thread = threading.Thread(target=lambda: seen.append(current().remaining()))
        thread.start()
        thread.join()
    assert seen == [None]
