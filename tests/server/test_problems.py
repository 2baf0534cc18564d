"""Every error is a problem, and says no more than it should."""

from __future__ import annotations

import asyncio
import logging

import pytest
from starlette.types import Message, Receive, Scope, Send

from anpr import errors
from anpr.errors import AnprError
from anpr.server import problems
from tests.server.harness import Service, photo, slug


def all_errors(kind: type[AnprError] = AnprError) -> list[type[AnprError]]:
    return [kind] + [one for below in kind.__subclasses__() for one in all_errors(below)]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_of_ours_has_an_answer(kind: type[AnprError]) -> None:
    answer = problems.from_error(kind())

    assert answer.status_code == kind.status
    assert answer.media_type == "application/problem+json"
    assert (kind.status == 503) == ("retry-after" in answer.headers)


def test_an_unknown_path_is_a_problem() -> None:
    answer = Service().get("/nothing/here?secret=1")

    assert (answer.status_code, slug(answer)) == (404, "not-found")
    assert "secret" not in answer.text


def test_a_wrong_method_is_a_problem_that_says_what_is_allowed() -> None:
    answer = Service()("DELETE", "/v1/plates")

    assert (answer.status_code, slug(answer)) == (405, "method-not-allowed")
    assert answer.headers["allow"] == "OPTIONS, POST"


def test_options_says_what_is_allowed() -> None:
    answer = Service()("OPTIONS", "/health")

    assert answer.status_code == 204
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


def test_what_nobody_expected_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    service = Service()
    service.detector.failure = RuntimeError("secret path /etc/passwd")
    answer = service.post(content=photo())

    assert (answer.status_code, slug(answer)) == (500, "internal")
    assert "secret" not in answer.text
    assert "secret path" in caplog.text


def test_memory_that_runs_out_is_a_503() -> None:
    service = Service()
    service.detector.failure = MemoryError()
    answer = service.post(content=photo())

    assert (answer.status_code, slug(answer)) == (503, "out-of-memory")


def test_the_cause_goes_to_the_log_only(caplog: pytest.LogCaptureFixture) -> None:
    service = Service()
    failure = errors.ModelUnusable()
    failure.__cause__ = ValueError("secret shape")
    service.detector.failure = failure
    answer = service.post(content=photo())

    assert (answer.status_code, slug(answer)) == (503, "model-unusable")
    assert "secret" not in answer.text
    assert "secret shape" in caplog.text


def test_refusals_are_not_logged_as_errors(caplog: pytest.LogCaptureFixture) -> None:
    Service().post(content=b"nonsense")

    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_an_error_in_the_middle_of_an_answer_is_not_papered_over() -> None:
    sent: list[Message] = []

    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("halfway")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(RuntimeError, match="halfway"):
        asyncio.run(problems.CatchAll(half)({"type": "http"}, receive, send))
    assert len(sent) == 1


def test_the_framework_s_own_validation_is_a_problem_without_the_input() -> None:
    service = Service()

    @service.app.get("/typed")
    async def typed(number: int) -> int:
        return number

    answer = service.get("/typed?number=secret")

    assert (answer.status_code, slug(answer)) == (422, "invalid-option")
    assert "secret" not in answer.text
