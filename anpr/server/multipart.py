"""``multipart/form-data`` (RFC 7578), parsed as it streams in, every part bounded in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from anpr.errors import MalformedRequest, PayloadTooLarge

T = TypeVar("T")

MAX_PARTS: Final = 32
MAX_VALUE_BYTES: Final = 4096  # of a field without a limit of its own
# The longest line and the most lines a part's head may have; browsers send two or three
MAX_HEADER_BYTES: Final = 4096
MAX_HEADERS: Final = 8


@dataclass(slots=True)
class Part:
    name: str
    content: bytearray = field(default_factory=bytearray)


class MultipartForm:
    """Fed with chunks; ``parts`` holds what was complete when ``finish()`` returned."""

    def __init__(self, content_type: str, limits: Mapping[str, int]) -> None:
        """``limits`` are bytes by field name. Raises ``MalformedRequest`` without a boundary."""
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise MalformedRequest("The multipart body has no boundary in its Content-Type.")
        self.parts: list[Part] = []
        self._limits = limits
        self._heads: dict[bytes, bytes] = {}
        self._head_name = b""
        self._head_value = b""
        self._part: Part | None = None
        self._limit = 0
        self._ended = False
        self._parser = _guarded(lambda: self._make_parser(boundary))

    def feed(self, chunk: bytes) -> None:
        """Raises ``MalformedRequest``, or ``PayloadTooLarge`` for a part beyond its limit."""
        _guarded(lambda: self._parser.write(chunk))

    def finish(self) -> list[Part]:
        """The parts. Raises ``MalformedRequest`` when the closing boundary is missing."""
        if not self._ended:
            raise MalformedRequest("The multipart body is incomplete.")
        return self.parts

    def _make_parser(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_end": self._on_end,
            },
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )

    def _on_part_begin(self) -> None:
        if len(self.parts) >= MAX_PARTS:
            raise MalformedRequest("The multipart body has too many parts.")
        self._heads = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._head_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._head_value += data[start:end]

    def _on_header_end(self) -> None:
        self._heads[self._head_name.lower()] = self._head_value
        self._head_name = self._head_value = b""

    def _on_headers_finished(self) -> None:
        options = parse_options_header(self._heads.get(b"content-disposition", b""))[1]
        name = options.get(b"name")
        if name is None:
            raise MalformedRequest("A part of the multipart body has no name.")
        part = Part(name.decode("utf-8", "replace"))
        self.parts.append(part)
        self._part = part
        self._limit = self._limits.get(part.name, MAX_VALUE_BYTES)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part is None:
            raise MalformedRequest("The multipart body is broken.")
        if len(part.content) + end - start > self._limit:
            raise PayloadTooLarge
        part.content += data[start:end]

    def _on_end(self) -> None:
        self._ended = True


def _guarded(work: Callable[[], T]) -> T:
    try:
        return work()
    except FormParserError as error:
        raise MalformedRequest("The multipart body is broken.") from error
