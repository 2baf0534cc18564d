"""From a detector's checkpoint (``.pt``) to the ONNX file that ONNX Runtime runs.

The graph that comes out takes ``images``: float32, shape (1, 3, H, W), RGB, 0 to 1, H and W any
multiples of the stride (32), so that a 16:9 photo runs at 320×192. Weights are stored as float16,
which halves the file, each with a ``Cast`` to float32 behind it: the runtime folds the casts while
it loads, and computes in float32. It gives ``output0``: either
the raw head, (1, 4 + classes, anchors) with boxes as centre x, centre y, width, height in input
pixels and scores after the sigmoid, or, where the architecture is end to end, (1, detections, 6)
with x1, y1, x2, y2, score, class. Suppression of overlapping boxes is not part of the graph.

Its metadata say what it was made from, all values as text: ``source_sha256``, ``imgsz``,
``stride``, ``names`` (a JSON object, class number to name), ``end2end``, ``task``, ``license``, and
the versions of ``ultralytics``, ``torch``, ``onnx`` and ``onnxslim``. There is no date: the same
checkpoint and versions give the same bytes.
"""

from __future__ import annotations

import ast
import hashlib
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from anpr import pickles
from anpr.errors import ModelMissing, ModelUnusable, RuntimeMissing
from anpr.onnx import runtime

OPSET = 17
"""Old enough for every ONNX Runtime since 1.12, and for static int8 quantisation (under 21)."""
IR_VERSION = 8
"""The one that belongs to opset 17."""
STRIDE = 32
"""Sides of the input are multiples of it, as in Ultralytics: the exporter tells the coarsest
head's, and the layers before it may go further down."""
LICENSE = "AGPL-3.0"
"""Ultralytics' licence, which covers the models that are trained and exported with it."""
BLANK = 114 / 255
"""The grey that YOLO pads with."""
TOLERANCE_PX = 1.0
"""On a blank image, where nothing is a plate and boxes mean little. Rounding the weights to float16
moves those boxes by up to half a pixel, and plates in photos by hundredths (``weights/README.md``);
the runtimes themselves differ by less than 0.01."""
TOLERANCE_SCORE = 0.01


@dataclass(frozen=True, slots=True)
class Compiled:
    """A file that was compiled and then run once."""

    path: Path
    bytes: int
    sha256: str
    metadata: Mapping[str, str]


def compile_detector(source: Path, target: Path, *, imgsz: int = 320) -> Compiled:
    """Compile the Ultralytics checkpoint ``source`` to ``target``, in place of what was there.

    ``imgsz`` is the side in pixels that the model is meant for, a multiple of its stride. A
    checkpoint is a pickle, hence code: check it against the manifest before it comes here.
    ``target`` is replaced in one step, and only after the new graph gave what the checkpoint gives,
    on a blank image.

    Raises ``ModelMissing`` without a source, ``RuntimeMissing`` without Ultralytics or ONNX, and
    ``ModelUnusable`` for a checkpoint that cannot be loaded, exported or run, ``ModelUnsafe`` for
    one that would run code of its own.
    """
    if not source.is_file():
        raise ModelMissing("The checkpoint to compile is missing.")
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")  # a failed import must not start pip
    try:
        import onnx
        import torch
        import ultralytics

        runtime()  # asked for here, used in _check
        slim_version = version("onnxslim")
    except ImportError as missing:
        raise RuntimeMissing("Compiling needs the reference runtime.") from missing

    metadata = {
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "license": LICENSE,
        "task": "detect",
        "imgsz": str(imgsz),
        "ultralytics": ultralytics.__version__,
        "torch": torch.__version__.partition("+")[0],
        "onnx": onnx.__version__,
        "onnxslim": slim_version,
    }
    with tempfile.TemporaryDirectory(prefix="anpr-compile-") as scratch, _quiet():
        copy = Path(scratch) / "detector.pt"  # the export is written beside its source
        shutil.copyfile(source, copy)
        pickles.examine(copy.read_bytes(), source.name)
        try:
            # Checked against Torch first: the export changes the model that it is given.
            expected = _run_checkpoint(copy, imgsz)
            exported = ultralytics.YOLO(copy).export(
                format="onnx",
                imgsz=imgsz,
                dynamic=True,
                simplify=True,
                opset=OPSET,
                batch=1,
                device="cpu",
            )
            graph = onnx.load(exported)
            told = {entry.key: entry.value for entry in graph.metadata_props}
            metadata |= {
                "stride": str(max(STRIDE, int(told["stride"]))),
                "names": _names(told["names"]),
                "end2end": told["end2end"].lower(),
            }
            _halve(graph)
            _settle(graph, metadata)
            content = graph.SerializeToString(deterministic=True)
            _check(content, imgsz, expected)
        except ModelUnusable:
            raise
        except Exception as failure:  # pickle, Torch and the exporter raise what they like
            raise ModelUnusable("The checkpoint could not be compiled.") from failure
    partial = target.with_name(f"{target.name}.partial")
    partial.write_bytes(content)
    partial.replace(target)
    return Compiled(
        path=target,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        metadata=metadata,
    )


def _names(text: str) -> str:
    """Ultralytics writes a Python mapping; JSON is what others can read."""
    return json.dumps({str(number): name for number, name in ast.literal_eval(text).items()})


def _settle(graph: Any, metadata: Mapping[str, str]) -> None:
    """Replace Ultralytics' metadata by ours, fix the batch at 1, and drop what varies by run."""
    del graph.metadata_props[:]
    for key in sorted(metadata):
        graph.metadata_props.add(key=key, value=metadata[key])
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    del graph.graph.value_info[:]  # the shapes of what flows inside: the runtime infers them
    graph.ir_version = IR_VERSION
    graph.producer_name, graph.producer_version, graph.doc_string = "anpr", "", ""
    for node in graph.graph.node:
        node.doc_string = ""


def _halve(graph: Any) -> None:
    """Store the weights of convolutions and products as float16, and cast them back at load."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in graph.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or len(weight.dims) < 2:
            continue  # biases are small, and constants of the decoding have to stay exact
        with np.errstate(over="ignore"):
            halved = numpy_helper.to_array(weight).astype(np.float16)
        if not np.isfinite(halved).all():
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(halved, f"{name}_half"))
        casts.append(
            helper.make_node("Cast", [weight.name], [name], f"{name}_cast", to=TensorProto.FLOAT)
        )
    nodes = list(graph.graph.node)
    del graph.graph.node[:]
    graph.graph.node.extend([*casts, *nodes])


def _sides(imgsz: int) -> tuple[tuple[int, int], ...]:
    """Heights and widths to try: the square, and about 16:9 (320×192 for 320)."""
    return (imgsz, imgsz), (max(32, imgsz * 3 // 5 // 32 * 32), imgsz)


def _run_checkpoint(checkpoint: Path, imgsz: int) -> list[Any]:
    """What the checkpoint gives for a blank image of each shape."""
    import torch
    from ultralytics import YOLO

    model = YOLO(checkpoint).model.float().eval()
    with torch.inference_mode():
        outputs = [model(torch.full((1, 3, h, w), BLANK)) for h, w in _sides(imgsz)]
    return [(out[0] if isinstance(out, tuple | list) else out).numpy() for out in outputs]


def _check(content: bytes, imgsz: int, expected: list[Any]) -> None:
    """Run the graph on a blank image of each shape, and compare. Raises ``ModelUnusable``."""
    import numpy as np

    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    for (height, width), wanted in zip(_sides(imgsz), expected, strict=True):
        blank = np.full((1, 3, height, width), BLANK, np.float32)
        (found,) = session.run(None, {"images": blank})
        same = found.shape == wanted.shape and bool(np.isfinite(found).all())
        if same and wanted.shape[-1] != 6:  # an end-to-end head sorts by scores, here all but equal
            apart = np.abs(found - wanted)  # comparisons are false where one is no number
            same = bool(
                (apart[:, :4] <= TOLERANCE_PX).all() and (apart[:, 4:] <= TOLERANCE_SCORE).all()
            )
        if not same:
            raise ModelUnusable("The compiled model does not give what its checkpoint gives.")


@contextmanager
def _quiet() -> Iterator[None]:
    """Ultralytics tells what it does, and Torch that its exporter is the old one: not here.

    What goes wrong comes as an exception, so nothing is lost.
    """
    from ultralytics.utils import LOGGER

    level = LOGGER.level
    LOGGER.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        LOGGER.setLevel(level)
