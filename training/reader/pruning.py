"""Fewer hidden channels in the recogniser's feed-forward blocks, chosen by what they carry.

Nine tenths of the recogniser's time go into pairs of 1×1 convolutions that widen the channels
twofold, apply GELU and narrow them again. A hidden channel matters as much as what it adds to the
block's output: how far its activation varies over real crops, times the norm of its column in the
second convolution. Block after block, that convolution is then fitted anew by least squares, so
that the block gives what it gave before (He, Zhang and Sun, "Channel pruning for accelerating
very deep neural networks", ICCV 2017). Whole groups of 16 channels go, which is what ONNX
Runtime's blocked convolution works in. Training heals what is lost. What was trained can be
pruned again, and loses less by it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_BLOCK: Final = 16
_PIXELS: Final = 1500  # of each batch that the fit sees
_RIDGE: Final = 1e-3


def widths(graph: onnx.ModelProto, keep: float) -> list[int]:
    """The hidden channels of each block where that share of them is kept, in whole groups."""
    sizes = {one.name: one.dims[0] for one in graph.graph.initializer if one.dims}
    hidden = (sizes[first.input[1]] for first, _ in _pairs(graph))
    return [max(_BLOCK, round(count * keep / _BLOCK) * _BLOCK) for count in hidden]


def prune(
    graph: onnx.ModelProto, widths: Sequence[int], batches: Sequence[NDArray[np.float32]]
) -> None:
    """Keep so many hidden channels of each block, in place; a block without more stays as it is.

    ``batches`` are inputs of the graph, float32 (N, 3, 48, W).
    """
    weights = {one.name: one for one in graph.graph.initializer}
    pairs = [
        (width, first, second)
        for width, (first, second) in zip(widths, _pairs(graph), strict=True)
        if width < weights[first.input[1]].dims[0]
    ]
    if not pairs:
        return
    wanted = _samples(graph, [second.output[0] for _, _, second in pairs], batches)
    for width, first, second in pairs:
        (hidden,) = _samples(graph, [second.input[0]], batches).values()
        columns = numpy_helper.to_array(weights[second.input[1]])[:, :, 0, 0]
        importance = hidden.std(axis=0) * np.linalg.norm(columns, axis=0)
        kept = np.sort(np.argsort(-importance)[:width])
        for name in first.input[1:3]:
            _put(weights[name], numpy_helper.to_array(weights[name])[kept])
        kernel, bias = _fit(hidden[:, kept], wanted[second.output[0]])
        _put(weights[second.input[1]], kernel[:, :, None, None])
        _put(weights[second.input[2]], bias)


def _put(initialiser: onnx.TensorProto, array: NDArray[np.float32]) -> None:
    name = initialiser.name
    initialiser.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))


def _fit(
    hidden: NDArray[np.float32], wanted: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The kernel (out, in) and bias (out,) that give ``wanted`` best, with a little ridge."""
    mean, goal = hidden.mean(axis=0), wanted.mean(axis=0)
    x, y = (hidden - mean).astype(np.float64), (wanted - goal).astype(np.float64)
    square = x.T @ x
    square[np.diag_indices_from(square)] += _RIDGE * np.trace(square) / len(square)
    kernel = np.linalg.solve(square, x.T @ y).T
    return kernel.astype(np.float32), (goal - kernel @ mean).astype(np.float32)


def _pairs(graph: onnx.ModelProto) -> list[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """The widening and the narrowing convolution around each GELU, x/2 · (1 + erf(x/√2))."""
    maker = {name: node for node in graph.graph.node for name in node.output}
    users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.graph.node:
        for name in node.input:
            users[name].append(node)

    found = []
    for erf in (node for node in graph.graph.node if node.op_type == "Erf"):
        wide = maker[erf.input[0]].input[0]
        (product,) = (user for user in users[wide] if user.op_type == "Mul")
        (halved,) = users[product.output[0]]
        first, seconds = maker[wide], users[halved.output[0]]
        if [first.op_type, *(second.op_type for second in seconds)] == ["Conv", "Conv"]:
            found.append((first, seconds[0]))
    return found


def _samples(
    graph: onnx.ModelProto, names: list[str], batches: Sequence[NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """For each tensor (N, C, H, W), every so many of its pixels as rows (n, C)."""
    from anpr.onnx import runtime

    told = onnx.ModelProto()
    told.CopyFrom(graph)
    del told.graph.output[:]
    told.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    session = runtime().InferenceSession(told.SerializeToString())
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for batch in batches:
        outputs = session.run(None, {graph.graph.input[0].name: batch})
        for name, output in zip(names, outputs, strict=True):
            pixels = output.transpose(0, 2, 3, 1).reshape(-1, output.shape[1])
            found[name].append(pixels[:: max(1, len(pixels) // _PIXELS)])
    return {name: np.concatenate(parts) for name, parts in found.items()}
