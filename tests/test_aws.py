"""``anpr.aws.handler`` in the process that AWS runs it in: ``awslambdaric``, with the product's own
models, against a Runtime API on loopback (the four calls that a runtime makes).
"""

from __future__ import annotations

import base64
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.scenes import car_photo

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:anpr"
# AWS Lambda quotas: 6 MB for a synchronous request
LARGEST_EVENT_BYTES = 6 * 1024 * 1024


@dataclass(frozen=True)
class Outcome:
    """What the runtime reported: ``kind`` is "response" or "error"."""

    kind: str
    content: Any
    seconds: float


class RuntimeApi(ThreadingHTTPServer):
    """Hands out events one by one, and collects what becomes of them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Calls)
        self.events: queue.Queue[bytes | None] = queue.Queue()
        self.outcomes: queue.Queue[tuple[str, Any]] = queue.Queue()

    @property
    def environment(self) -> dict[str, str]:
        """What Lambda tells a runtime about itself."""
        return {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server_address[1]}",
            "AWS_LAMBDA_FUNCTION_NAME": "anpr",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
            "AWS_LAMBDA_LOG_GROUP_NAME": "group",
            "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
            "AWS_REGION": "eu-central-1",
        }

    def invoke(self, event: dict[str, Any], seconds: float = 10) -> Outcome:
        started = time.perf_counter()
        self.events.put(json.dumps(event).encode())
        kind, content = self.outcomes.get(timeout=seconds)
        return Outcome(kind, content, time.perf_counter() - started)


class _Calls(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RuntimeApi

    def do_GET(self) -> None:
        event = self.server.events.get()
        if event is None:  # the end of the test
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + 30) * 1000)))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", ARN)
        self.send_header("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700")
        self.send_header("Content-Type", "application/json")  # without it the client crashes
        self.send_header("Content-Length", str(len(event)))
        self.end_headers()
        self.wfile.write(event)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.outcomes.put((self.path.rpartition("/")[2], json.loads(body)))

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def runtime() -> Iterator[RuntimeApi]:
    with RuntimeApi() as api:
        thread = threading.Thread(target=api.serve_forever)
        thread.start()
        environment = {name: value for name, value in os.environ.items() if name[:5] != "ANPR_"}
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "awslambdaric", "anpr.aws.handler"],
            env=environment | api.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            yield api
        finally:
            process.kill()
            process.communicate()
            api.events.put(None)
            api.shutdown()
            thread.join()


def function_url(
    method: str = "POST",
    path: str = "/v1/plates",
    body: bytes = b"",
    content_type: str = "application/octet-stream",
    query: str = "",
    **headers: str,
) -> dict[str, Any]:
    """As API Gateway's HTTP events, version 2.0."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"content-type": content_type, "host": "id.lambda-url.example", **headers},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "id",
            "domainName": "id.lambda-url.eu-central-1.on.aws",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "test",
            },
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "21/Nov/2026:00:00:00 +0000",
            "timeEpoch": 1795219200000,
        },
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def http_api(body: bytes, content_type: str, query: str = "") -> dict[str, Any]:
    event = function_url(body=body, content_type=content_type, query=query)
    event["routeKey"] = event["requestContext"]["routeKey"] = "POST /v1/plates"
    return event


def rest_api(body: str, content_type: str, *, packed: bool) -> dict[str, Any]:
    """API Gateway's REST events, version 1.0."""
    return {
        "resource": "/{proxy+}",
        "path": "/v1/plates",
        "httpMethod": "POST",
        "headers": {"Content-Type": content_type, "Host": "id.execute-api.example"},
        "multiValueHeaders": {"Content-Type": [content_type], "Host": ["id.execute-api.example"]},
        "queryStringParameters": {"top_n": "2"},
        "multiValueQueryStringParameters": {"top_n": ["2"]},
        "pathParameters": {"proxy": "v1/plates"},
        "stageVariables": None,
        "requestContext": {
            "resourceId": "id",
            "resourcePath": "/{proxy+}",
            "httpMethod": "POST",
            "path": "/prod/v1/plates",
            "stage": "prod",
            "identity": {"sourceIp": "192.0.2.1", "userAgent": "test"},
            "requestId": "id",
            "apiId": "id",
        },
        "body": body,
        "isBase64Encoded": packed,
    }


def plates_of(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.kind == "response"
    assert outcome.content["statusCode"] == 200
    assert outcome.content["isBase64Encoded"] is False
    plates: list[dict[str, Any]] = json.loads(outcome.content["body"])["plates"]
    return plates


@pytest.fixture(scope="module")
def photo() -> bytes:
    return car_photo()


def test_importing_the_module_costs_nothing() -> None:
    code = (
        "import sys, anpr.aws; print([m for m in"
        " ('fastapi', 'mangum', 'numpy', 'pydantic', 'anpr.server') if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == "[]"


class TestRuntime:
    def test_the_second_invocation_finds_the_models_loaded(
        self, runtime: RuntimeApi, photo: bytes
    ) -> None:
        cold = runtime.invoke(function_url(body=photo, content_type="image/jpeg"))
        warm = runtime.invoke(function_url(body=photo, content_type="image/jpeg"))

        assert plates_of(cold)
        assert [plate["text"] for plate in plates_of(warm)] == [
            plate["text"] for plate in plates_of(cold)
        ]
        assert warm.seconds < cold.seconds / 2

    def test_a_rest_event_with_json(self, runtime: RuntimeApi, photo: bytes) -> None:
        body = json.dumps({"image_base64": base64.b64encode(photo).decode()})
        plates = plates_of(runtime.invoke(rest_api(body, "application/json", packed=False)))

        assert len(plates[0]["candidates"]) <= 2

    def test_a_rest_event_with_bytes(self, runtime: RuntimeApi, photo: bytes) -> None:
        body = base64.b64encode(photo).decode()
        assert plates_of(runtime.invoke(rest_api(body, "image/jpeg", packed=True)))

    def test_an_http_event_with_a_form(self, runtime: RuntimeApi, photo: bytes) -> None:
        body = (
            b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
            + photo
            + b"\r\n--x--\r\n"
        )
        assert plates_of(runtime.invoke(http_api(body, "multipart/form-data; boundary=x")))

    def test_options_of_the_query(self, runtime: RuntimeApi, photo: bytes) -> None:
        event = http_api(photo, "image/jpeg", query="min_confidence=1&top_n=3")
        assert plates_of(runtime.invoke(event)) == []

    def test_the_largest_event(self, runtime: RuntimeApi, photo: bytes) -> None:
        event = function_url(body=photo, content_type="image/jpeg")
        room = LARGEST_EVENT_BYTES - len(json.dumps(event))
        event = function_url(body=photo + bytes(room // 4 * 3 - 3), content_type="image/jpeg")
        assert LARGEST_EVENT_BYTES - 64 < len(json.dumps(event)) <= LARGEST_EVENT_BYTES
        assert plates_of(runtime.invoke(event))

    def test_a_problem_is_text(self, runtime: RuntimeApi) -> None:
        outcome = runtime.invoke(function_url(body=b"no image"))

        assert outcome.kind == "response"
        assert outcome.content["statusCode"] == 415
        assert outcome.content["isBase64Encoded"] is False
        assert outcome.content["headers"]["content-type"] == "application/problem+json"
        assert json.loads(outcome.content["body"])["type"] == "urn:anpr:problem:unsupported-image"

    @pytest.mark.parametrize("path", ["/livez", "/readyz", "/health"])
    def test_other_paths_answer(self, runtime: RuntimeApi, path: str) -> None:
        assert runtime.invoke(function_url("GET", path)).content["statusCode"] == 200

    def test_an_event_of_no_known_kind_is_an_error_and_not_the_end(
        self, runtime: RuntimeApi, photo: bytes
    ) -> None:
        outcome = runtime.invoke({"nonsense": True})
        assert outcome.kind == "error"
        assert outcome.content["errorType"] == "RuntimeError"

        assert plates_of(runtime.invoke(function_url(body=photo)))
