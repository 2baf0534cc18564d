"""What an ONNX file says of itself, read from its bytes: the base install has no ``onnx`` package.

An ONNX file is a protocol-buffers message (``onnx.proto``), and this walks its wire format as far
as it has to: inputs, outputs, metadata, and above all weights that lie in other files
(``external_data``). Those must be beside the model; ``self_contained`` takes them into it, so that
one hash covers all that is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anpr.errors import ModelUnsafe, ModelUnusable
from anpr.models import wire

_MAX_DEPTH: Final = 32  # of graphs within graphs
_PROTOBUF_BYTES: Final = (1 << 31) - 1  # a message may not be larger

# Fields that lead to tensors, by message
_WAYS: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 11: "attribute"},
    "training": {1: "graph", 2: "graph"},
}
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14  # of a tensor


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output. Names stand for sizes that may vary; ``kind`` is ONNX's number."""

    name: str
    kind: int
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    metadata: Mapping[str, str]
    producer: str
    opset: int


def describe(data: bytes) -> Graph:
    """Raises ``ModelUnusable`` where ``data`` is no ONNX file."""
    try:
        return _describe(memoryview(data))
    except (ValueError, IndexError, RecursionError) as error:
        raise ModelUnusable("The file is no ONNX model.") from error


def is_external(data: bytes) -> bool:
    """Whether weights of the model lie in other files. Raises ``ModelUnusable``."""
    try:
        return any(_location(tensor) for tensor in _tensors(memoryview(data), "model"))
    except (ValueError, IndexError) as error:
        raise ModelUnusable("The file is no ONNX model.") from error


def self_contained(data: bytes, folder: Path, max_bytes: int) -> bytes:
    """The same model with all its weights inside; ``folder`` is where its file lies.

    Raises ``ModelUnsafe`` for weights outside of ``folder`` (by their path or by a link), and
    ``ModelUnusable`` where they are missing, cut off, or the whole is larger than ``max_bytes``.
    """
    if not is_external(data):
        return data
    room = _Room(folder, min(max_bytes, _PROTOBUF_BYTES) - len(data))
    try:
        return _rewritten(memoryview(data), "model", room)
    except (ValueError, IndexError) as error:
        raise ModelUnusable("The ONNX model's external weights cannot be read.") from error


def with_metadata(data: bytes, values: Mapping[str, str]) -> bytes:
    """The model with these metadata as well: a repeated field may be appended to a message."""
    entries = (
        wire.field(1, key.encode()) + wire.field(2, value.encode()) for key, value in values.items()
    )
    return data + b"".join(wire.field(14, entry) for entry in entries)


def initializers(data: bytes) -> Iterator[memoryview]:
    """The weights of the main graph, each a ``TensorProto``. Raises ``ValueError``."""
    for number, graph in wire.fields(memoryview(data)):
        if number == 7 and isinstance(graph, memoryview):
            for inner, tensor in wire.fields(graph):
                if inner == 5 and isinstance(tensor, memoryview):
                    yield tensor


# --- inputs, outputs, metadata -----------------------------------------------------------------


def _describe(model: memoryview) -> Graph:
    metadata: dict[str, str] = {}
    inputs: list[Value] = []
    outputs: list[Value] = []
    producer, opset, graphs = "", 0, 0
    for number, value in wire.fields(model):
        if number == 14:
            pair = dict(wire.fields(wire.message(value)))
            metadata[wire.text(pair.get(1))] = wire.text(pair.get(2))
        elif number == 2:
            producer = wire.text(value)
        elif number == 8:
            pair = dict(wire.fields(wire.message(value)))
            version = pair.get(2, 0)
            if wire.text(pair.get(1)) in ("", "ai.onnx") and isinstance(version, int):
                opset = version
        elif number == 7:
            graphs += 1
            weights: set[str] = set()
            for inner, part in wire.fields(wire.message(value)):
                if inner == 11:
                    inputs.append(_value(wire.message(part)))
                elif inner == 12:
                    outputs.append(_value(wire.message(part)))
                elif inner == 5:  # older files list weights as inputs too
                    weights.add(wire.text(dict(wire.fields(wire.message(part))).get(8)))
            inputs = [one for one in inputs if one.name not in weights]
    if graphs != 1 or not inputs or not outputs:
        raise ValueError("not one graph with inputs and outputs")
    return Graph(tuple(inputs), tuple(outputs), metadata, producer, opset)


def _value(message: memoryview) -> Value:
    parts = dict(wire.fields(message))
    kind, shape = 0, []
    tensor = dict(wire.fields(wire.message(parts.get(2, memoryview(b"")))))
    for number, value in wire.fields(wire.message(tensor.get(1, memoryview(b"")))):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 2:
            for _, dimension in wire.fields(wire.message(value)):
                size = dict(wire.fields(wire.message(dimension)))
                known = size.get(1)
                shape.append(known if isinstance(known, int) else wire.text(size.get(2)))
    return Value(wire.text(parts.get(1)), kind, tuple(shape))


# --- weights in other files --------------------------------------------------------------------


def _tensors(message: memoryview, kind: str, depth: int = 0) -> Iterator[memoryview]:
    if kind == "tensor":
        yield message
        return
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    for number, value in wire.fields(message):
        inner = _WAYS[kind].get(number)
        if inner:
            yield from _tensors(wire.message(value), inner, depth + 1)


def _location(tensor: memoryview) -> dict[str, str]:
    """What the tensor says about the place of its data; nothing where it has them itself."""
    told: dict[str, str] = {}
    for number, value in wire.fields(tensor):
        if number == _EXTERNAL_DATA:
            pair = dict(wire.fields(wire.message(value)))
            told[wire.text(pair.get(1))] = wire.text(pair.get(2))
        elif number == _DATA_LOCATION and value == 1:
            told.setdefault("location", "")
    return told


@dataclass(slots=True)
class _Room:
    """The folder that weights may be taken from, and how many bytes of them are still allowed."""

    folder: Path
    left: int

    def take(self, told: Mapping[str, str]) -> bytes:
        name = Path(told.get("location", ""))
        path = self.folder / name
        outside = name.is_absolute() or ".." in name.parts or "\\" in str(name)
        if outside or not path.resolve().is_relative_to(self.folder.resolve()):
            raise ModelUnsafe("The ONNX model wants weights from outside of its folder.")
        if not path.is_file():
            raise ValueError("the file with the weights is missing")
        size = path.stat().st_size
        offset = int(told.get("offset", 0))
        length = int(told.get("length", size - offset))
        if not 0 <= offset <= offset + length <= size:
            raise ValueError("the file with the weights is too short")
        self.left -= length
        if self.left < 0:
            raise ModelUnusable("The ONNX model with its external weights is too large.")
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)


def _rewritten(message: memoryview, kind: str, room: _Room) -> bytes:
    """``message`` with the weights of all its tensors inside; the other fields as they are."""
    if kind == "tensor":
        told = _location(message)
        if not told:
            return bytes(message)
        kept = [
            bytes(message[start:end])
            for number, _, start, end in wire.spans(message)
            if number not in (_EXTERNAL_DATA, _DATA_LOCATION)
        ]
        return b"".join([*kept, wire.field(_RAW_DATA, room.take(told))])
    pieces: list[bytes] = []
    for number, value, start, end in wire.spans(message):
        inner = _WAYS[kind].get(number)
        if inner:
            pieces.append(wire.field(number, _rewritten(wire.message(value), inner, room)))
        else:
            pieces.append(bytes(message[start:end]))
    return b"".join(pieces)
