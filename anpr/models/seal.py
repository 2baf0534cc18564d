"""The seal at the end of a compiled form: what it was made from, and that it is whole.

It is one more entry of the ONNX file's metadata, under the key ``anpr``, whose value is JSON with
the SHA-256 of all bytes before. Protobuf lets fields be appended, so form and seal are one file,
which one ``rename`` replaces.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

Level: TypeAlias = Literal["extended", "all"]
"""Of ONNX Runtime's ``GraphOptimizationLevel``: runs anywhere, or is for one kind of CPU."""

FORMAT: Final = 1  # of the seal and of the names
_JSON_BYTES: Final = 1000
# ModelProto.metadata_props (field 14): an entry {key: "anpr", value: …}, each length in two bytes
_KEY: Final = b"\x0a\x04anpr"
_HEAD: Final = (
    b"\x72"
    + bytes(((len(_KEY) + 3 + _JSON_BYTES) & 0x7F | 0x80, (len(_KEY) + 3 + _JSON_BYTES) >> 7))
    + _KEY
    + b"\x12"
    + bytes((_JSON_BYTES & 0x7F | 0x80, _JSON_BYTES >> 7))
)
TRAILER_BYTES: Final = len(_HEAD) + _JSON_BYTES


@dataclass(frozen=True, slots=True)
class Origin:
    """What a form was made from. ``sha256`` is that of the form without its trailer.

    ``source_mtime_ns`` tells whether the source was touched since, without reading it; in an
    image, where files are copied about, it is ``None``.
    """

    source_sha256: str
    source_bytes: int
    source_mtime_ns: int | None
    level: Level
    onnxruntime: str
    cpu: str
    sha256: str = ""
    format: int = FORMAT

    @property
    def file_name(self) -> str:
        key = json.dumps([self.format, self.level, self.onnxruntime, self.cpu])
        digest = hashlib.sha256(key.encode()).hexdigest()
        return f"{self.source_sha256[:16]}-{digest[:16]}.onnx"


def seal(graph: bytes, origin: Origin) -> bytes:
    """The graph with its trailer."""
    origin = replace(origin, sha256=hashlib.sha256(graph).hexdigest())
    text = json.dumps(asdict(origin), separators=(",", ":")).encode()
    if len(text) > _JSON_BYTES:
        raise ValueError("the trailer is too short for this origin")
    return graph + _HEAD + text.ljust(_JSON_BYTES)


def unseal(form: bytes) -> Origin:
    """The origin of a form that is whole. Raises ``ValueError``."""
    body, trailer = memoryview(form)[:-TRAILER_BYTES], form[-TRAILER_BYTES:]
    origin = _parse(trailer)
    if hashlib.sha256(body).hexdigest() != origin.sha256:
        raise ValueError("not the bytes that were kept")
    return origin


def peek(path: Path) -> Origin:
    """The origin that a form claims, without looking whether it is whole.

    Raises ``OSError`` or ``ValueError``.
    """
    with path.open("rb") as file:
        file.seek(-TRAILER_BYTES, 2)
        return _parse(file.read())


def _parse(trailer: bytes) -> Origin:
    if not trailer.startswith(_HEAD):
        raise ValueError("no seal")
    try:
        return Origin(**json.loads(trailer[len(_HEAD) :]))
    except TypeError as error:
        raise ValueError("a seal of another format") from error
