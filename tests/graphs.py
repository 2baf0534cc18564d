"""Small ONNX graphs that answer the same whatever they are shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def constant_graph(
    path: Path,
    answer: NDArray[np.float32],
    *,
    shape: tuple[int | str, ...] = (1, 3, "height", "width"),
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a graph with one input of this shape whose output is always ``answer``."""
    value = numpy_helper.from_array(answer.astype(np.float32), "answer")
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMin", ["images"], ["least"], keepdims=0),
            helper.make_node("Mul", ["least", "zero"], ["nothing"]),
            helper.make_node("Add", ["answer", "nothing"], ["output"]),
        ],
        "constant",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, list(answer.shape))],
        [value, numpy_helper.from_array(np.zeros((), np.float32), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, str(path))
    return path
