"""``data:`` URLs: an image inside its own address, read without the net."""

from __future__ import annotations

import base64
import io
import re
from urllib.parse import unquote_to_bytes

from anpr.errors import MalformedRequest, SourceTooLarge

_PIECE_BYTES = 64 * 1024
_BROKEN = "The data URL is broken."


def is_data_url(url: str) -> bool:
    return url[:5].lower() == "data:"


def read_data_url(url: str, max_bytes: int) -> bytes:
    """What a ``data:`` URL (RFC 2397) holds, base64 or percent-encoded; nothing is fetched.

    The image came with the request here, so what is broken is the request: ``MalformedRequest``,
    as for a broken ``image_base64``. ``SourceTooLarge`` beyond ``max_bytes``.
    """
    comma = url.find(",")
    if comma < 0 or not url.isascii():
        raise MalformedRequest(_BROKEN)
    data = url[comma + 1 :].encode("ascii").partition(b"#")[0]
    if len(data) > 4 * max_bytes + _PIECE_BYTES:  # no encoding needs more
        raise SourceTooLarge
    data = _unquote(data)
    if url[:comma].rstrip().lower().endswith(";base64"):
        data = data.translate(None, b" \t\n\f\r").rstrip(b"=")  # as browsers forgive
        if len(data) * 3 // 4 > max_bytes:
            raise SourceTooLarge
        try:
            return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
        except ValueError as error:
            raise MalformedRequest(_BROKEN) from error
    if len(data) > max_bytes:
        raise SourceTooLarge
    return data


def _unquote(data: bytes) -> bytes:
    """Percent-decoded, piece by piece: ``unquote_to_bytes`` makes an object of every escape."""
    if b"%" not in data:
        return data
    if re.search(rb"%(?![0-9A-Fa-f]{2})", data):
        raise MalformedRequest(_BROKEN)
    plain = io.BytesIO()
    start = 0
    while start < len(data):
        end = start + _PIECE_BYTES
        split = data.rfind(b"%", end - 2, end)  # an escape that the cut would go through
        end = end if split < 0 else split
        plain.write(unquote_to_bytes(data[start:end]))
        start = end
    return plain.getvalue()
