"""``POST /v1/plates`` as clients use it."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from anpr.server import schemas
from tests import loopback
from tests.server.harness import TEXT, Call, Service, photo, slug, until


def test_a_file_is_read() -> None:
    answer = Service().post(files={"image": ("car.jpg", photo())})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    content = answer.json()
    assert content["image"] == {"width": 64, "height": 48, "format": "jpeg"}
    assert content["plates"] == [
        {
            "text": TEXT,
            "confidence": 0.5,
            "detection_confidence": 0.875,
            "box": {"x1": 16, "y1": 12, "x2": 32, "y2": 24},
            "lines": [TEXT],
            "characters": [{"text": letter, "confidence": 0.1235} for letter in TEXT],
            "candidates": [{"text": TEXT, "confidence": 0.5, "region": "ro"}],
            "region": {"code": "ro", "confidence": 0.967},
        }
    ]
    assert set(content["timings_ms"]) == {"fetch", "decode", "detect", "crop", "read", "total"}
    assert content["timings_ms"]["fetch"] == 0
    assert set(content["memory_mib"]["stages"]) == {"decode", "detect", "crop", "read"}
    assert content["models"] == {
        "detector": "small-detector@00000001",
        "reader": "small-reader@00000002",
    }


def test_the_answer_is_what_its_schema_says() -> None:
    schemas.PlatesAnswer.model_validate(Service().post(content=photo()).json(), strict=True)


def test_the_example_is_what_its_schema_says() -> None:
    schemas.PlatesAnswer.model_validate(schemas.PLATES_EXAMPLE, strict=True)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "image/jpeg",
        "image/png",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "text/plain",
        "nonsense",
    ],
)
def test_bytes_are_judged_by_their_content(content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = Service().post(content=photo(), headers=headers)

    assert answer.status_code == 200
    assert answer.json()["image"]["format"] == "jpeg"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_every_format_is_read(format: str) -> None:
    answer = Service().post(content=photo(format=format))

    assert answer.json()["image"]["format"] == format.lower()


@pytest.mark.parametrize("prefix", ["", "data:image/jpeg;base64,", "data:;base64,"])
def test_base64_is_read(prefix: str) -> None:
    text = prefix + base64.b64encode(photo()).decode()

    assert Service().post(json={"image_base64": text}).status_code == 200
    assert Service().post(data={"image_base64": text}).status_code == 200
    assert Service().post(files={"image_base64": (None, text)}).status_code == 200


def test_a_data_url_is_read_also_where_fetching_is_off() -> None:
    url = "data:image/jpeg;base64," + base64.b64encode(photo()).decode()
    answer = Service(fetch_enabled=False).post(json={"image_url": url})

    assert answer.status_code == 200
    assert answer.json()["timings_ms"]["fetch"] >= 0


@pytest.mark.parametrize("way", ["json", "data", "files"])
def test_an_image_is_fetched_by_its_url(way: str) -> None:
    with loopback.serve(loopback.response(photo())) as source:
        service = Service(fetcher=loopback.fetcher(source))
        fields: Any = {"image_url": source.url()}
        if way == "files":
            fields = {"image_url": (None, source.url())}
        answer = service.post(**{way: fields})

    assert answer.status_code == 200
    timings = answer.json()["timings_ms"]
    assert 0 < timings["fetch"] <= timings["total"]


def test_a_url_that_is_not_allowed_is_422() -> None:
    answer = Service().post(json={"image_url": "http://169.254.169.254/latest/meta-data"})

    assert answer.status_code == 422
    assert slug(answer) == "url-not-allowed"
    assert "169.254" not in answer.text


def test_fetching_can_be_turned_off() -> None:
    answer = Service(fetch_enabled=False).post(json={"image_url": "https://example.com/a.jpg"})

    assert answer.status_code == 422
    assert "turned off" in answer.json()["detail"]


def test_an_empty_source_is_an_empty_image() -> None:
    with loopback.serve(loopback.response(b"")) as source:
        answer = Service(fetcher=loopback.fetcher(source)).post(json={"image_url": source.url()})

    assert slug(answer) == "empty-image"


def test_a_slow_source_does_not_hold_up_others() -> None:
    with loopback.serve(lambda visit: visit.wait(5)) as source:
        service = Service(fetcher=loopback.fetcher(source))

        async def scenario() -> None:
            slow = Call(service, headers={"content-type": "application/json"})
            slow.finish(b'{"image_url": "%s"}' % source.url().encode())
            await until(lambda: source.visits == 1)
            quick = await service.send("POST", "/v1/plates", content=photo())
            assert quick.status_code == 200
            assert not slow.task.done()
            slow.hang_up()
            await asyncio.wait_for(slow.task, 1)

        service.run(scenario)


def test_options_of_the_query_count() -> None:
    answer = Service().post(content=photo(), params={"top_n": "3", "min_confidence": "0.4"})

    assert len(answer.json()["plates"][0]["candidates"]) == 3


def test_options_of_the_body_go_before_the_query() -> None:
    answer = Service().post(
        params={"top_n": 2}, data={"top_n": "4"}, files={"image": ("a.jpg", photo())}
    )

    assert len(answer.json()["plates"][0]["candidates"]) == 4


def test_no_plate_above_the_wanted_confidence_is_an_empty_list() -> None:
    answer = Service().post(content=photo(), params={"min_confidence": "0.6"})

    assert answer.status_code == 200
    assert answer.json()["plates"] == []


@pytest.mark.parametrize(
    ("data", "status", "name"),
    [
        (b"", 400, "empty-image"),
        (b"not an image at all", 415, "unsupported-image"),
        (photo()[:200], 422, "corrupt-image"),
        (photo(4, 4), 422, "image-too-small"),
        (photo(6000, 6000, "GIF"), 422, "too-many-pixels"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_image_is_a_problem(data: bytes, status: int, name: str) -> None:
    answer = Service().post(content=data)

    assert (answer.status_code, slug(answer)) == (status, name)


def test_an_unknown_region_is_a_problem_that_names_the_known_ones() -> None:
    answer = Service().post(content=photo(), params={"regions": "atlantis"})

    assert (answer.status_code, slug(answer)) == (422, "invalid-option")
    assert "eu" in answer.json()["detail"]
    assert "atlantis" not in answer.text


def test_a_known_region_names_the_plates_that_fit() -> None:
    answer = Service().post(content=photo(), params={"regions": "gb"})

    assert [plate["region"]["code"] for plate in answer.json()["plates"]] == ["gb"]


def test_regions_may_be_a_list_in_json() -> None:
    body = {"image_base64": base64.b64encode(photo()).decode(), "regions": ["gb", "br"]}
    answer = Service().post(json=body)

    assert answer.json()["plates"][0]["candidates"][0]["region"] == "gb"


def test_a_client_that_hangs_up_frees_the_slot() -> None:
    service = Service(queue_size=0)
    service.detector.go_on.clear()

    async def scenario() -> None:
        call = Call(service)
        call.finish(photo())
        await until(service.detector.begun.is_set)
        call.hang_up()
        await asyncio.wait_for(call.task, 1)
        assert call.sent[0]["status"] == 499
        await until(lambda: service.app.state.admission.idle)
        service.detector.go_on.set()
        assert (await service.send("POST", "/v1/plates", content=photo())).status_code == 200

    service.run(scenario)


def test_a_client_that_hangs_up_while_it_waits_frees_its_place() -> None:
    service = Service(queue_size=1)
    service.detector.go_on.clear()

    async def scenario() -> None:
        first = Call(service)
        first.finish(photo())
        await until(service.detector.begun.is_set)
        second = Call(service)
        second.finish(photo())
        await until(lambda: service.app.state.admission.visits == 2)
        second.hang_up()
        await until(lambda: service.app.state.admission.visits == 1)
        third = Call(service)
        third.finish(photo())
        service.detector.go_on.set()
        assert (await first.answer())[0] == 200
        assert (await third.answer())[0] == 200
        assert service.detector.runs == 2

    service.run(scenario)


def test_a_client_that_hangs_up_in_its_body_frees_its_place() -> None:
    service = Service()

    async def scenario() -> None:
        call = Call(service)
        call.feed(photo()[:100])
        await until(lambda: service.app.state.admission.visits == 1)
        call.hang_up()
        await asyncio.wait_for(call.task, 1)
        assert service.app.state.admission.idle

    service.run(scenario)


def test_a_photo_that_takes_too_long_is_ended() -> None:
    service = Service(deadline_s=0.05)
    service.detector.go_on.clear()
    answer = service.post(content=photo())

    assert (answer.status_code, slug(answer)) == (503, "deadline-exceeded")
    assert answer.headers["retry-after"] == "1"
