"""What OpenAPI says about requests and refusals, since bodies are parsed by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from anpr import errors
from anpr.errors import AnprError
from anpr.server.problems import MEDIA_TYPE, example
from anpr.server.schemas import PLATES_EXAMPLE, Problem

if TYPE_CHECKING:
    from fastapi import FastAPI

TEXT: Final = """Reads number plates from photographs.

Send one photo to `POST /v1/plates`: as a file, as its bytes, in base64 or by URL. Every error is
`application/problem+json` (RFC 9457); a 503 carries `Retry-After`, and so trying again pays.
"""

IMAGE_TYPES: Final = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "image/gif",
    "application/octet-stream",
)

_REFUSALS: Final[tuple[type[AnprError], ...]] = (
    errors.MalformedRequest,
    errors.EmptyImage,
    errors.PayloadTooLarge,
    errors.UnsupportedImage,
    errors.InvalidOption,
    errors.CorruptImage,
    errors.ImageTooSmall,
    errors.TooManyPixels,
    errors.UrlNotAllowed,
    errors.SourceTooLarge,
    errors.SourceFailed,
    errors.SourceTimeout,
    errors.Busy,
    errors.Draining,
    errors.DeadlineExceeded,
    errors.OutOfMemory,
    errors.ModelMissing,
    errors.ModelMismatch,
    errors.ModelUnusable,
    errors.AnprError,
)


def responses(kinds: Iterable[type[AnprError]]) -> dict[int | str, dict[str, Any]]:
    """Statuses with their problems as examples, as FastAPI's ``responses`` takes them."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        entry = found.setdefault(
            kind.status,
            {
                "description": kind.title,
                "content": {
                    MEDIA_TYPE: {
                        "schema": {"$ref": "#/components/schemas/Problem"},
                        "examples": {},
                    }
                },
            },
        )
        if issubclass(kind, errors.Unavailable):
            entry["headers"] = {
                "Retry-After": {
                    "description": "seconds after which to try again",
                    "schema": {"type": "integer", "minimum": 1},
                }
            }
        entry["content"][MEDIA_TYPE]["examples"][kind.slug] = {
            "summary": kind.title,
            "value": example(kind),
        }
        titles = entry["content"][MEDIA_TYPE]["examples"].values()
        entry["description"] = " · ".join(title["summary"] for title in titles)
    return found


def plates_responses(*, keys: bool) -> dict[int | str, dict[str, Any]]:
    locked = (errors.Unauthorized,) if keys else ()
    return {
        200: {
            "description": "The plates of the photo; none is an empty list.",
            "content": {"application/json": {"example": PLATES_EXAMPLE}},
        }
    } | responses((*_REFUSALS, *locked))


def _options(max_candidates: int) -> dict[str, dict[str, Any]]:
    return {
        "top_n": {
            "type": "integer",
            "minimum": 1,
            "maximum": max_candidates,
            "default": 1,
            "description": "how many candidates each plate may have",
        },
        "min_confidence": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0,
            "description": "leave out plates that are read less surely",
        },
        "regions": {
            "type": "string",
            "pattern": "^[A-Za-z, ]*$",
            "description": "regions (ISO 3166-1, such as pl) and groups (such as eu), separated by "
            "commas: candidates that look like their plates come first",
            "example": "eu,br",
        },
    }


def plates_operation(*, max_candidates: int, image_bytes: int) -> dict[str, Any]:
    """Query parameters and the body in all its forms."""
    options = _options(max_candidates)
    url = {
        "type": "string",
        "minLength": 1,
        "description": "http, https or data",
        "example": "https://example.com/car.jpg",
    }
    base64 = {
        "type": "string",
        "minLength": 1,
        "contentEncoding": "base64",
        "description": "the image in base64; the prefix of a data URL is allowed",
    }
    names = {"type": "array", "items": {"type": "string", "pattern": "^[A-Za-z, ]*$"}}
    regions = {"anyOf": [options["regions"], names]}
    json_body = {
        "type": "object",
        "properties": {
            "image_url": url,
            "image_base64": base64,
            **options,
            "regions": regions,
        },
        "oneOf": [{"required": ["image_url"]}, {"required": ["image_base64"]}],
    }
    form = {
        "type": "object",
        "properties": {
            "image": {
                "type": "string",
                "contentMediaType": "application/octet-stream",
                "description": f"the photo as a file, at most {image_bytes:,} bytes",
            },
            "image_url": url,
            "image_base64": base64,
            **options,
        },
        "oneOf": [
            {"required": ["image"]},
            {"required": ["image_url"]},
            {"required": ["image_base64"]},
        ],
    }
    urlencoded = {
        "type": "object",
        "properties": {"image_url": url, **options},
        "required": ["image_url"],
    }
    raw: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": schema["description"],
                "schema": {key: value for key, value in schema.items() if key != "description"},
            }
            for name, schema in options.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "application/json": {
                    "schema": json_body,
                    "examples": {
                        "url": {"value": {"image_url": "https://example.com/car.jpg"}},
                        "base64": {"value": {"image_base64": "/9j/4AAQSkZJRg…", "top_n": 3}},
                    },
                },
                "application/x-www-form-urlencoded": {"schema": urlencoded},
                **dict.fromkeys(IMAGE_TYPES, raw),
            },
        },
    }


def install(app: FastAPI) -> None:
    """Add the schema of problems, which no route of FastAPI's names, to the document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("Problem", Problem.model_json_schema())
        return document

    app.openapi = openapi  # type: ignore[method-assign]
