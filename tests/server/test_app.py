"""The application as a whole: its description, and that it shares nothing."""

from __future__ import annotations

import subprocess
import sys

import jsonschema

from anpr.server.app import create_app
from tests.server.harness import Service, photo


def test_it_makes_its_recognizer_itself_and_loads_nothing() -> None:
    app = create_app()

    assert app.state.admission.idle
    assert Service().get("/health").json()["models"]["loaded"] is False


def test_the_description_names_every_way_to_send_a_photo() -> None:
    content = Service().get("/openapi.json").json()
    operation = content["paths"]["/v1/plates"]["post"]

    assert content["openapi"].startswith("3.1")
    kinds = set(operation["requestBody"]["content"])
    assert kinds >= {
        "multipart/form-data",
        "application/json",
        "application/x-www-form-urlencoded",
        "image/jpeg",
        "application/octet-stream",
    }
    names = {parameter["name"] for parameter in operation["parameters"]}
    assert names == {"top_n", "min_confidence", "regions"}
    statuses = {int(status) for status in operation["responses"]}
    assert statuses == {200, 400, 413, 415, 422, 500, 502, 503, 504}


def test_the_description_gives_an_example_of_every_problem() -> None:
    content = Service().get("/openapi.json").json()
    schema = content["components"]["schemas"]["Problem"]
    responses = content["paths"]["/v1/plates"]["post"]["responses"]
    for status, response in responses.items():
        if status != "200":
            for example in response["content"]["application/problem+json"]["examples"].values():
                jsonschema.validate(example["value"], schema)
                assert example["value"]["status"] == int(status)


def test_the_description_is_the_same_for_every_app() -> None:
    assert Service().app.openapi() == Service().app.openapi()


def test_the_door_pulls_in_no_heavy_room() -> None:
    code = (
        "import sys, anpr.server.app;"
        "print([m for m in ('onnxruntime', 'requests', 'torch', 'prometheus_client', 'mangum')"
        " if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == "[]"


def test_apps_share_no_state() -> None:
    one, other = Service(), Service()
    one.app.state.admission.drain()

    assert one.post(content=photo()).status_code == 503
    assert other.post(content=photo()).status_code == 200
