"""``service.yaml``: valid for Knative, within Cloud Run's limits, and about the real service."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import jsonschema
import pytest
import yaml
from pydantic import SecretStr

from anpr.server.app import create_app
from anpr.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from anpr import Recognizer

ROOT: Final = Path(__file__).resolve().parent.parent
SCHEMA: Final = json.loads(
    (ROOT / "tests" / "data" / "knative-service.schema.json").read_text("utf-8")
)

# Cloud Run's limits, and the page below cloud.google.com/run/ that states them
MAX_STARTUP_S: Final = 240  # docs/configuring/healthchecks: failureThreshold * periodSeconds
MAX_STARTUP_PERIOD_S: Final = 240  # the same, for the startup probe
MAX_LIVENESS_PERIOD_S: Final = 3600  # the same, for the liveness probe
MAX_REQUEST_S: Final = 3600  # docs/configuring/request-timeout
MAX_CONCURRENCY: Final = 1000  # docs/configuring/concurrency
MEMORY_OF_ONE_CPU_GIB: Final = (0.125, 4)  # docs/configuring/services/memory-limits
GEN2_LEAST_MEMORY_GIB: Final = 0.5  # docs/configuring/execution-environments
MAX_HTTP1_REQUEST_BYTES: Final = 32 * 1024 * 1024  # quotas
KILLED_AFTER_S: Final = 10  # docs/container-contract: SIGTERM, then SIGKILL


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "service.yaml").read_text("utf-8"))
    return document


@pytest.fixture
def revision(service: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = service["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(revision: dict[str, Any]) -> dict[str, Any]:
    (one,) = revision["containers"]
    return dict(one)


def test_it_is_a_knative_service(service: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(service, SCHEMA, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "template", "spec", "containerConcurency"), 1),
        (("spec", "template", "spec", "containers"), []),
        (("spec", "template", "metadata", "annotations", "autoscaling.knative.dev/maxScale"), 10),
        (("spec", "template", "spec", "containers", 0, "startupProbe", "periodSeconds"), "1"),
        (("spec", "template", "spec", "containers", 0, "resources", "limits", "memory"), "1 GB"),
        (("kind",), "Deployment"),
    ],
)
def test_the_schema_sees_mistakes(
    service: dict[str, Any], path: tuple[str | int, ...], value: object
) -> None:
    wrong: Any = copy.deepcopy(service)
    place = wrong
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA, jsonschema.Draft202012Validator)


def test_the_size_is_what_the_service_is_made_for(
    service: dict[str, Any], revision: dict[str, Any], container: dict[str, Any]
) -> None:
    annotations = service["spec"]["template"]["metadata"]["annotations"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert MEMORY_OF_ONE_CPU_GIB[0] <= 1 <= MEMORY_OF_ONE_CPU_GIB[1]
    assert annotations["run.googleapis.com/execution-environment"] == "gen2"
    assert GEN2_LEAST_MEMORY_GIB <= 1
    assert revision["containerConcurrency"] == 1 <= MAX_CONCURRENCY
    assert annotations["autoscaling.knative.dev/maxScale"] == "10"
    assert annotations["run.googleapis.com/startup-cpu-boost"] == "true"


def test_the_time_out_lets_the_service_answer_first(revision: dict[str, Any]) -> None:
    settings = Settings()
    longest = settings.body_timeout_s + settings.queue_timeout_s + settings.deadline_s
    assert longest < revision["timeoutSeconds"] <= MAX_REQUEST_S


def test_the_service_ends_before_it_is_killed() -> None:
    assert Settings().drain_s < KILLED_AFTER_S


def test_cloud_run_lets_the_largest_body_through() -> None:
    # base64 takes four bytes for three
    assert Settings().max_image_bytes * 4 / 3 < MAX_HTTP1_REQUEST_BYTES


def test_the_start_may_take_as_long_as_it_must(container: dict[str, Any]) -> None:
    probe = container["startupProbe"]
    assert probe["periodSeconds"] == 1 <= MAX_STARTUP_PERIOD_S
    assert probe["timeoutSeconds"] <= probe["periodSeconds"]
    assert 10 <= probe["failureThreshold"] * probe["periodSeconds"] <= MAX_STARTUP_S


def test_the_liveness_probe_is_patient(container: dict[str, Any]) -> None:
    probe = container["livenessProbe"]
    assert probe["timeoutSeconds"] <= probe["periodSeconds"] <= MAX_LIVENESS_PERIOD_S
    assert probe["failureThreshold"] > 1


def test_the_key_comes_from_a_pinned_secret(container: dict[str, Any]) -> None:
    """docs/configuring/services/secrets: variables are read at start, so pin the version."""
    (variable,) = container["env"]
    assert variable["name"] == "ANPR_API_KEYS"
    assert variable["valueFrom"]["secretKeyRef"]["key"].isdigit()


def test_every_variable_is_a_setting(container: dict[str, Any]) -> None:
    names = {f"ANPR_{name.upper()}" for name in Settings.model_fields}
    assert {variable["name"] for variable in container["env"]} <= names


def ask(app: FastAPI, *paths: str, seconds: float = 10) -> list[int]:
    """The statuses of these paths once the app has started: the first one is asked until it
    answers 200 or the time is over, as a probe does.
    """

    async def probe() -> list[int]:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://container") as client,
        ):
            for _ in range(int(seconds / 0.05)):
                first = (await client.get(paths[0])).status_code
                if first == 200:
                    break
                await asyncio.sleep(0.05)
            return [first, *[(await client.get(path)).status_code for path in paths[1:]]]

    return asyncio.run(probe())


@pytest.mark.parametrize(
    ("probe", "path"), [("startupProbe", "/startupz"), ("livenessProbe", "/livez")]
)
def test_the_app_answers_the_probe(
    container: dict[str, Any], probe: str, path: str, recognizer: Recognizer
) -> None:
    """Also where keys are set, since probes send none."""
    app = create_app(Settings(api_keys=(SecretStr("a-key"),), load="eager"), recognizer)
    assert container[probe]["httpGet"] == {"path": path}
    assert ask(app, path, "/v1/models") == [200, 401]


def test_the_probes_tell_a_failed_start_from_a_dead_process(
    container: dict[str, Any], tmp_path: Path
) -> None:
    app = create_app(Settings(load="eager", weights_dir=tmp_path))
    startup, liveness = (
        container[kind]["httpGet"]["path"] for kind in ("startupProbe", "livenessProbe")
    )
    assert ask(app, startup, liveness, seconds=0.2) == [503, 200]
