"""The weights of an ONNX file or a checkpoint as NumPy arrays, by name."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from anpr import pickles
from anpr.errors import ModelUnusable
from anpr.models import checkpoint, onnxfile, wire

if TYPE_CHECKING:
    from numpy.typing import NDArray

# TensorProto.DataType: NumPy's name, and the field that has the values where they are not raw
_TYPES: Final[Mapping[int, tuple[str, int]]] = {
    1: ("<f4", 4),
    2: ("<u1", 5),
    3: ("<i1", 5),
    4: ("<u2", 5),
    5: ("<i2", 5),
    6: ("<i4", 5),
    7: ("<i8", 7),
    9: ("?", 5),
    10: ("<f2", 5),
    11: ("<f8", 10),
    12: ("<u4", 11),
    13: ("<u8", 11),
}
_RAW: Final = 9


def of_model(data: bytes, name: str) -> dict[str, NDArray[Any]]:
    """Every weight of the model, by name.

    Raises ``ModelUnsafe``, ``ModelUnusable`` or, for a checkpoint, ``RuntimeMissing``.
    """
    if pickles.is_checkpoint(data):
        state = checkpoint.load(data, name).model.state_dict()
        return {key: tensor.detach().cpu().numpy() for key, tensor in state.items()}
    onnxfile.describe(data)
    try:
        return dict(_array(tensor) for tensor in onnxfile.initializers(data))
    except (ValueError, KeyError, IndexError, TypeError, struct.error) as error:
        raise ModelUnusable(f"The weights of '{name}' cannot be read.") from error


def _array(tensor: memoryview) -> tuple[str, NDArray[Any]]:
    import numpy as np

    shape: list[int] = []
    values: list[memoryview | int] = []
    name, kind, raw = "", 0, None
    for number, value in wire.fields(tensor):
        if number == 1:
            shape += [value] if isinstance(value, int) else wire.integers(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8 and not isinstance(value, int):
            name = bytes(value).decode("utf-8")
        elif number == _RAW and not isinstance(value, int):
            raw = value
        elif kind in _TYPES and number == _TYPES[kind][1]:
            values.append(value)
    numpy_type = np.dtype(_TYPES[kind][0])
    if raw is not None:
        return name, np.frombuffer(raw, numpy_type).reshape(shape).copy()
    return name, _listed(values, numpy_type, kind).reshape(shape)


def _listed(values: list[memoryview | int], numpy_type: Any, kind: int) -> NDArray[Any]:
    """Values of a field of their own: packed floats, or integers."""
    import numpy as np

    if kind in (1, 11):
        packed = b"".join(bytes(value) for value in values if not isinstance(value, int))
        return np.frombuffer(packed, numpy_type).copy()
    whole = [
        one
        for value in values
        for one in ([value] if isinstance(value, int) else wire.integers(value))
    ]
    if kind == 10:  # half floats are kept as the integers of their bits
        return np.array(whole, np.uint16).view(np.float16)
    wide = np.array(whole, np.uint64)
    return wide.astype(numpy_type)  # two's complement: negative ones come out right
