"""What a client sent: one image, as bytes or as a URL, and the options beside it.

The kind of body is taken from its type where that says something (multipart, JSON, image); a
body of an unknown, missing or default type (octet-stream, urlencoded) is judged by its content.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import Receive

from anpr import imaging
from anpr.errors import EmptyImage, MalformedRequest, PayloadTooLarge
from anpr.server import body, options
from anpr.server.multipart import MultipartForm

# Room for everything that is not the image: boundaries, heads, options, JSON's punctuation
SLACK_BYTES: Final = 64 * 1024
# Percent-decoding and odd characters multiply memory: only small texts may have them
MAX_FORM_BYTES: Final = 64 * 1024
# A request has five members; base64 has none of these characters
MAX_JSON_MARKS: Final = 4096
_FORM: Final = "application/x-www-form-urlencoded"
_FIELDS: Final = ("image", "image_url", "image_base64")
_WHITESPACE: Final = b" \t\r\n"

Fields = dict[str, list[Any]]
"""Values by name: text, or what JSON held; bytes for the image."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``image_bytes`` for the image itself; base64 takes four bytes for three."""

    image_bytes: int
    timeout_s: float
    max_candidates: int

    @property
    def base64_bytes(self) -> int:
        # whitespace at line ends (one in 76, RFC 2045) lies within the slack of the ratio
        return self.image_bytes * 4 // 3 + self.image_bytes // 20 + SLACK_BYTES


@dataclass(frozen=True, slots=True)
class Submission:
    """Exactly one of ``image`` and ``url`` is set."""

    image: bytes | None
    url: str | None
    options: options.Options


async def receive_submission(
    receive: Receive, headers: Headers, query: Sequence[tuple[str, str]], limits: Limits
) -> Submission:
    """Read and understand a request.

    Raises ``MalformedRequest``, ``EmptyImage``, ``PayloadTooLarge``, ``InvalidOption`` and
    ``body.ClientGone``.
    """
    content_type = headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        fields = await _read_multipart(receive, headers, content_type, limits)
    else:
        fields = await _read_whole(receive, headers, media_type, limits)
    given: Fields = {}
    for name, value in query:
        if name in options.NAMES:
            given.setdefault(name, []).append(value)
        elif name in _FIELDS:
            raise MalformedRequest("The image belongs into the body, not into the query.")
    given.update({name: fields[name] for name in options.NAMES if name in fields})
    chosen = options.parse(given, max_candidates=limits.max_candidates)
    image, url = _image(fields, limits)
    return Submission(image, url, chosen)


# --- reading -----------------------------------------------------------------------------------


async def _read_multipart(
    receive: Receive, headers: Headers, content_type: str, limits: Limits
) -> Fields:
    form = MultipartForm(
        content_type,
        {
            "image": limits.image_bytes,
            "image_url": limits.base64_bytes,
            "image_base64": limits.base64_bytes,
        },
    )
    stream = body.chunks(receive, headers, limit=limits.base64_bytes, timeout_s=limits.timeout_s)
    async for chunk in stream:
        form.feed(chunk)
    fields: Fields = {}
    for part in form.finish():
        if part.name == "image":
            fields.setdefault(part.name, []).append(bytes(part.content))
        elif part.name in _FIELDS or part.name in options.NAMES:
            fields.setdefault(part.name, []).append(_text(part.content))
        part.content.clear()
    return fields


async def _read_whole(
    receive: Receive, headers: Headers, media_type: str, limits: Limits
) -> Fields:
    is_json = media_type == "application/json" or media_type.endswith("+json")
    is_image = media_type.startswith("image/")
    data = bytearray()
    limit = limits.image_bytes if is_image else limits.base64_bytes
    async for chunk in body.chunks(receive, headers, limit=limit, timeout_s=limits.timeout_s):
        data += chunk
    if is_json or (not is_image and _looks_like_json(data)):
        return _parse_json(data)
    if media_type == _FORM and imaging.sniff(bytes(data[:16])) is None and data:
        return _parse_form(data)
    return {"image": [bytes(data)]}


def _looks_like_json(data: bytearray) -> bool:
    return data[:64].lstrip(_WHITESPACE)[:1] == b"{"


def _parse_json(data: bytearray) -> Fields:
    if len(data) > MAX_FORM_BYTES and not data.isascii():
        raise MalformedRequest("A JSON body of this size may hold ASCII characters only.")
    # A few megabytes of "[{},{},…" would become hundreds in memory
    if data.count(b",") + data.count(b"[") + data.count(b"{") > MAX_JSON_MARKS:
        raise MalformedRequest("The JSON body has too many members.")
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest("The body is not valid JSON.") from error
    if not isinstance(value, dict):
        raise MalformedRequest("The JSON body must be an object.")
    data.clear()
    return {
        name: item if name == "regions" and isinstance(item, list) else [item]
        for name, item in value.items()
        if item is not None
    }


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _parse_form(data: bytearray) -> Fields:
    if len(data) > MAX_FORM_BYTES:
        raise PayloadTooLarge("An urlencoded body may have at most 64 KiB.")
    try:
        pairs = parse_qsl(
            data.decode("ascii"), keep_blank_values=True, max_num_fields=32, errors="strict"
        )
    except ValueError as error:
        raise MalformedRequest("The form in the body is not valid.") from error
    fields: Fields = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    if not fields.keys() & {*_FIELDS, *options.NAMES}:  # no form at all: the decoder will judge
        return {"image": [bytes(data)]}
    return fields


def _text(value: bytearray) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedRequest("A field of the form is not UTF-8 text.") from error


# --- understanding -----------------------------------------------------------------------------


def _image(fields: Fields, limits: Limits) -> tuple[bytes | None, str | None]:
    """The one image that was sent: its bytes, or its URL."""
    given = [(name, value) for name in _FIELDS for value in fields.get(name, ())]
    # Browsers send the fields of a form that were left empty as well
    sent = [(name, value) for name, value in given if value not in (b"", "")]
    if not sent:
        if given and given[0][0] != "image_url":
            raise EmptyImage
        raise MalformedRequest(
            "The request has no image: send a file as 'image', an 'image_url', or the bytes."
        )
    if len(sent) > 1:
        raise MalformedRequest("The request has more than one image; one is read at a time.")
    name, value = sent[0]
    if name == "image" and isinstance(value, bytes):
        if len(value) > limits.image_bytes:
            raise PayloadTooLarge
        return value, None
    if not isinstance(value, str):
        raise MalformedRequest(f"The member '{name}' must be text.")
    if name == "image":
        raise MalformedRequest("Send base64 as 'image_base64', or a file as 'image'.")
    if name == "image_url":
        return None, value.strip()
    return _decode_base64(value, limits.image_bytes), None


def _decode_base64(text: str, limit: int) -> bytes:
    """Base64 (RFC 4648), with or without a ``data:…;base64,`` prefix, line ends and padding."""
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise MalformedRequest("The data URL in 'image_base64' is not base64.")
    try:
        encoded = text.encode("ascii").translate(None, _WHITESPACE)
        if len(encoded) * 3 // 4 > limit + 2:
            raise PayloadTooLarge
        encoded += b"=" * (-len(encoded) % 4)
        image = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError as error:  # not ASCII, or binascii.Error
        raise MalformedRequest("The member 'image_base64' is not valid base64.") from error
    if not image:
        raise EmptyImage
    if len(image) > limit:
        raise PayloadTooLarge
    return image
