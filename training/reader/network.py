"""PP-OCR's recogniser as a PyTorch module, and back into the graph that it came from.

The ONNX graph is converted to Torch node by node (onnx2torch) with the head cut to the characters
of a plate. After training the new weights are written into the initialisers of the same graph:
no exporter is needed, and what runs is what was converted.

The graph takes ``x``, float32 (N, 3, 48, W), BGR, −1 to 1, and gives probabilities of shape
(N, W / 8, 2 + 36): blank, the 36 characters, and last the sign for "two lines".
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxslim
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from anpr.ocr import PLATE_ALPHABET, TWO_LINES

CHARACTERS: Final = PLATE_ALPHABET + TWO_LINES
CLASSES: Final = 1 + len(CHARACTERS)
_SMALLEST: Final = 100  # numbers in an initialiser that is a weight, and no constant of the graph


class Recogniser(nn.Module):  # type: ignore[misc]
    """Logits of shape (N, T, classes) for images (N, 3, 48, W); T is W / 8."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        super().__init__()
        self.graph = graph
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # onnx2torch indexes by lists, which Torch dislikes
            from onnx2torch import convert

            self.body = convert(graph)
        _fuse_gelu(graph, self.body)
        self._names = _initialisers(graph, self.body)
        for name, tensor in list(self.body.named_buffers()):
            if name in self._names and tensor.is_floating_point() and tensor.numel() >= _SMALLEST:
                owner, _, leaf = name.rpartition(".")
                module = self.body.get_submodule(owner)
                del module._buffers[leaf]
                module.register_parameter(leaf, nn.Parameter(tensor.clone()))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.body(images)
        return logits

    def to_onnx(self, weights: dict[str, Tensor] | None = None) -> onnx.ModelProto:
        """The graph with the present weights, or those of a state dictionary, and a softmax."""
        graph = self.with_weights(weights or self.state_dict())
        logits = graph.graph.output[0].name
        graph.graph.node.append(
            helper.make_node("Softmax", [logits], ["probabilities"], name="Softmax.head", axis=2)
        )
        del graph.graph.output[:]
        graph.graph.output.append(
            helper.make_tensor_value_info(
                "probabilities", onnx.TensorProto.FLOAT, ["N", "T", CLASSES]
            )
        )
        return graph

    def with_weights(self, state: dict[str, Tensor]) -> onnx.ModelProto:
        """The graph with the weights of a state dictionary, which may have fewer channels."""
        graph = onnx.ModelProto()
        graph.CopyFrom(self.graph)
        places = {one.name: one for one in graph.graph.initializer}
        for name, initialiser in self._names.items():
            array = state[f"body.{name}"].detach().cpu().float().contiguous().numpy()
            if array.size < _SMALLEST and "initializers" in name:
                continue
            dims = tuple(places[initialiser].dims)
            if array.size == math.prod(dims):  # one number may be of shape () here and (1,) there
                array = array.reshape(dims)
            places[initialiser].CopyFrom(numpy_helper.from_array(array, initialiser))
        return graph


def pretrained_graph(path: Path) -> onnx.ModelProto:
    """The recogniser's graph in ``path``, its head cut to ``CHARACTERS``; it gives logits."""
    graph: onnx.ModelProto = onnxslim.slim(onnx.load(str(path)))
    known = next(one.value for one in graph.metadata_props if one.key == "character").split("\n")
    _pad_explicitly(graph)
    _cut_head(graph, ["", *known, " "])
    del graph.metadata_props[:]
    del graph.graph.value_info[:]
    return graph


def _pad_explicitly(graph: onnx.ModelProto) -> None:
    """``SAME_UPPER`` for a 2×2 kernel and stride 1 is one pixel at the end; Torch has no such."""
    for node in graph.graph.node:
        if any(a.name == "auto_pad" and a.s == b"SAME_UPPER" for a in node.attribute):
            kept = [a for a in node.attribute if a.name not in ("auto_pad", "pads")]
            sizes = {a.name: list(a.ints) for a in kept}
            assert sizes["kernel_shape"] == [2, 2]
            assert sizes["strides"] == [1, 1]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute("pads", [0, 0, 1, 1])])


def _cut_head(graph: onnx.ModelProto, known: list[str]) -> None:
    """Keep the columns of our characters, end at the logits, and drop the softmax."""
    softmax, add, matmul = (graph.graph.node[-1 - i] for i in range(3))
    assert (softmax.op_type, add.op_type, matmul.op_type) == ("Softmax", "Add", "MatMul")
    column = {character: index for index, character in enumerate(known)}
    columns = [0, *(column[character] for character in CHARACTERS)]
    for one in graph.graph.initializer:
        if one.name in (matmul.input[1], add.input[1]):
            array = numpy_helper.to_array(one)[..., columns]
            one.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), one.name))
    del graph.graph.node[-1]
    del graph.graph.output[:]
    graph.graph.output.append(
        helper.make_tensor_value_info(
            add.output[0], onnx.TensorProto.FLOAT, ["N", "T", len(columns)]
        )
    )


def _fuse_gelu(graph: onnx.ModelProto, body: Any) -> None:
    """One GELU for each chain x/√2, erf, +1, ·x, ·½: a step takes 0.88 of the time."""
    kinds = {node.name.replace(".", "/"): node.op_type for node in graph.graph.node}
    for erf in [one for one in body.graph.nodes if kinds.get(str(one.target)) == "Erf"]:
        divided = erf.args[0]
        last = erf
        for kind in ("Add", "Mul", "Mul"):
            (last,) = last.users
            assert kinds[str(last.target)] == kind
        with body.graph.inserting_after(last):
            last.replace_all_uses_with(
                body.graph.call_function(nn.functional.gelu, (divided.args[0],))
            )
    body.graph.eliminate_dead_code()
    body.recompile()


def _initialisers(graph: onnx.ModelProto, body: Any) -> dict[str, str]:
    """For each tensor of the Torch module, the name of the initialiser that it came from."""
    nodes = {node.name.replace(".", "/"): node for node in graph.graph.node}
    given = {one.name for one in graph.graph.initializer}
    names: dict[str, str] = {}
    for call in body.graph.nodes:
        if call.op != "call_module":
            continue
        # a convolution is a sequence of padding and convolution where the pads are not even
        node = nodes[str(call.target)]
        module = body.get_submodule(str(call.target))
        inputs = iter(node.input)
        for argument in call.args:
            source = next(inputs)
            if getattr(argument, "op", "") == "get_attr" and source in given:
                names[str(argument.target)] = source
        if node.op_type == "Conv":
            for (leaf, _), source in zip(module.named_parameters(), node.input[1:], strict=True):
                names[f"{call.target}.{leaf}"] = source
    return names


def ctc_loss(logits: Tensor, texts: list[str]) -> Tensor:
    """CTC loss of each image (N,), in nats; infinite alignments count as 0."""
    columns = {character: index for index, character in enumerate(CHARACTERS, start=1)}
    targets = torch.tensor([columns[c] for text in texts for c in text], dtype=torch.long)
    lengths = torch.tensor([len(text) for text in texts])
    log_probabilities = logits.float().log_softmax(2).transpose(0, 1)
    steps = torch.full((len(texts),), logits.shape[1])
    return nn.functional.ctc_loss(
        log_probabilities, targets, steps, lengths, reduction="none", zero_infinity=True
    )


def best_texts(logits: Tensor) -> list[str]:
    """The texts of the best paths."""
    texts = []
    for row in logits.argmax(2).tolist():
        kept = [c for i, c in enumerate(row) if c and (i == 0 or row[i - 1] != c)]
        texts.append("".join(CHARACTERS[c - 1] for c in kept))
    return texts
