"""Schemathesis over the OpenAPI document: what it says is what the service does.

Every request that the document allows, and many that it does not: no server error, no status, type,
header or body that is not documented, and no refusal of the service's own methods.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from anpr.fetch import Fetcher, FetchPolicy
from tests.server.harness import Service, photo

pytestmark = [
    pytest.mark.slow,
    # of schemathesis and what it uses, not of ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

PHOTOS = st.sampled_from(
    [photo(), photo(format="PNG"), photo(format="GIF"), photo()[:300], b"\xff\xd8\xff", b"BM"]
)
KEY = "a-key"


def without_lifespan(app: ASGIApp) -> ASGIApp:
    """Schemathesis starts and stops what it calls for every request, and stopped means draining."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await app(scope, receive, send)

    return call


def no_name(host: str, port: int) -> list[str]:
    raise OSError("there is no net here")


def schema_of(**options: Any) -> Any:
    offline = Fetcher(FetchPolicy(), resolve=no_name, permitted=lambda _: False)
    service = Service(fetcher=offline, max_image_bytes=5000, **options)
    for kind in ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/tiff", "image/gif"):
        schemathesis.openapi.media_type(kind, PHOTOS)
    return schemathesis.openapi.from_asgi("/openapi.json", without_lifespan(service.app))


open_schema = schema_of()
locked_schema = schema_of(api_keys=KEY)
# A store that stays empty, and is nobody's: every request may clear it
nowhere = str(Path(tempfile.gettempdir(), f"anpr-openapi-{os.getpid()}"))
managed_schema = schema_of(admin_keys=KEY, cache_dir=nowhere).include(path_regex="^/v1/models")
# A text that the document calls base64 is not yet an image
NOT_OURS = [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]
# It takes a generated Authorization for invalid, but our own key stands beside it
NOT_OURS_WITH_KEY = [*NOT_OURS, schemathesis.checks.CHECKS.get_one("ignored_auth")]
settled = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@open_schema.parametrize()  # type: ignore[untyped-decorator]
@settled
def test_the_open_service_does_what_it_says(case: Any) -> None:
    case.call_and_validate(excluded_checks=NOT_OURS)


@locked_schema.parametrize()  # type: ignore[untyped-decorator]
@settled
def test_with_a_key_the_locked_service_does_what_it_says(case: Any) -> None:
    case.call_and_validate(headers={"X-API-Key": KEY}, excluded_checks=NOT_OURS_WITH_KEY)


@managed_schema.parametrize()  # type: ignore[untyped-decorator]
@settled
def test_with_an_admin_key_models_are_managed_as_it_says(case: Any) -> None:
    case.call_and_validate(headers={"X-API-Key": KEY}, excluded_checks=NOT_OURS_WITH_KEY)


@managed_schema.parametrize()  # type: ignore[untyped-decorator]
@settled
def test_without_an_admin_key_they_are_not(case: Any) -> None:
    case.call_and_validate(excluded_checks=NOT_OURS)


@locked_schema.parametrize()  # type: ignore[untyped-decorator]
@settled
def test_without_a_key_the_locked_service_does_what_it_says(case: Any) -> None:
    case.call_and_validate(excluded_checks=NOT_OURS)
