"""The wire format of protocol buffers, as far as an ONNX file needs it.

A message is a run of fields; a field is a number and an integer, or a number and some bytes, which
may be a message in turn. What is broken raises ``ValueError`` or ``IndexError``.
"""

from __future__ import annotations

from collections.abc import Iterator


def fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Number and value of each field: an integer, or the bytes of what is not one."""
    for number, value, _, _ in spans(message):
        yield number, value


def integers(packed: memoryview) -> list[int]:
    """The varints of a packed field."""
    found, at = [], 0
    while at < len(packed):
        value, at = _varint(packed, at)
        found.append(value)
    return found


def spans(message: memoryview) -> Iterator[tuple[int, memoryview | int, int, int]]:
    """Each field with where it begins and ends."""
    at = 0
    while at < len(message):
        start = at
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("a field without a number")
        value: memoryview | int
        if kind == 0:
            value, at = _varint(message, at)
        else:
            if kind == 2:
                size, at = _varint(message, at)
            elif kind in (1, 5):
                size = 8 if kind == 1 else 4
            else:
                raise ValueError(f"wire type {kind}")
            if size > len(message) - at:
                raise ValueError("a field is cut off")
            value, at = message[at : at + size], at + size
        yield number, value, start, at


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("an integer is too long")


def field(number: int, content: bytes) -> bytes:
    """A field with these bytes."""
    return _encoded(number << 3 | 2) + _encoded(len(content)) + content


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(value: memoryview | int) -> memoryview:
    """The bytes of a value that is to be a message."""
    if isinstance(value, int):
        raise ValueError("a number where a message should be")
    return value


def text(value: memoryview | int | None) -> str:
    return "" if value is None else bytes(message(value)).decode("utf-8")
