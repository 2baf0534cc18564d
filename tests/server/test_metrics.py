"""What Prometheus gets to see."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from anpr import cgroup
from tests import loopback
from tests.server.harness import Service, photo, slug


def samples(service: Service) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = service.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_photos_plates_and_stages_are_counted() -> None:
    service = Service()
    service.post(content=photo())
    service.post(content=photo(), params={"min_confidence": "0.9"})
    found = samples(service)

    assert found["anpr_photos_total", ()] == 2
    assert found["anpr_plates_total", ()] == 1
    for stage in ("decode", "detect", "crop", "read"):
        assert found["anpr_stage_seconds_count", (("stage", stage),)] == 2
    assert ("anpr_stage_seconds_count", (("stage", "fetch"),)) not in found


def test_a_fetch_is_a_stage() -> None:
    with loopback.serve(loopback.response(photo())) as source:
        service = Service(fetcher=loopback.fetcher(source))
        service.post(json={"image_url": source.url()})

    assert samples(service)["anpr_stage_seconds_count", (("stage", "fetch"),)] == 1


def test_requests_are_counted_by_status_and_nobody_makes_names() -> None:
    service = Service()
    service.post(content=photo())
    service.post(content=b"x")
    for path in ("/a", "/b", "/v1/plates/x"):
        service("BREW", path)
    found = samples(service)

    def count(path: str, method: str, status: int) -> float:
        labels = (("method", method), ("path", path), ("status", str(status)))
        return found["anpr_requests_total", labels]

    assert count("/v1/plates", "POST", 200) == 1
    assert count("/v1/plates", "POST", 415) == 1
    assert count("other", "other", 404) == 3
    assert found["anpr_request_seconds_count", (("path", "/v1/plates"),)] == 2


def test_memory_and_queue_are_told() -> None:
    found = samples(Service())

    assert found["anpr_queue_length", ()] == 0
    assert 10e6 < found["anpr_resident_memory_bytes", ()] < 10e9
    assert found["anpr_peak_memory_bytes", ()] > 10e6


def test_every_app_counts_for_itself() -> None:
    one, other = Service(), Service()
    one.post(content=photo())

    assert samples(other)["anpr_photos_total", ()] == 0


def test_they_can_be_turned_off() -> None:
    service = Service(metrics=False)

    assert service.post(content=photo()).status_code == 200
    assert slug(service.get("/metrics")) == "not-found"


def test_without_the_extra_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    service = Service()

    assert service.post(content=photo()).status_code == 200
    assert slug(service.get("/metrics")) == "not-found"


def test_memory_and_models_can_be_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "_ROOT", tmp_path)
    monkeypatch.setattr(cgroup, "_paths", lambda: ("/", "/"))
    (tmp_path / "memory.current").write_text("10485760")
    service = Service()
    before = samples(service)
    (tmp_path / "memory.max").write_text("1073741824")
    service.post(content=photo())
    after = samples(service)

    assert math.isnan(before["anpr_memory_limit_bytes", ()])
    assert after["anpr_memory_limit_bytes", ()] == 1073741824
    assert after["anpr_cgroup_memory_bytes", ()] == 10485760
    assert after["anpr_held_memory_bytes", ()] == 10485760
    assert (before["anpr_models_loaded", ()], after["anpr_models_loaded", ()]) == (0, 1)
