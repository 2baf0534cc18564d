"""A model is run once before it is taken in: it has to look for plates, or to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from anpr import pickles
from anpr.errors import ModelUnusable
from anpr.models import checkpoint, onnxfile
from anpr.weights import ModelFile

if TYPE_CHECKING:
    from anpr.types import Image

Kind = Literal["detector", "reader"]

_FLOAT: Final = 1  # TensorProto.DataType
_MOST_SIDE: Final = 1280  # pixels of a detector's input
_LINE_HEIGHT: Final = 48  # of PP-OCR's recognisers
_RECOGNISER: Final = "plate-reader"  # of the package; PaddleOCR does not go without one


@dataclass(frozen=True, slots=True)
class Facts:
    """What the model is, as it and its run showed. Input size is height and width in pixels."""

    kind: Kind
    input_size: tuple[int, int] | None
    alphabet: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)


def run_once(file: ModelFile) -> Facts:
    """Load the model and let it look at a grey picture.

    ``file`` has its hash. Raises ``ModelUnsafe``, ``ModelUnusable`` or ``RuntimeMissing``.
    """
    data = file.read()
    if pickles.is_checkpoint(data):
        return _run_checkpoint(data, file.path.name)
    graph = onnxfile.describe(data)
    if onnxfile.is_external(data):
        raise ModelUnusable("The model's weights lie in other files.")
    if len(graph.inputs) != 1 or graph.inputs[0].kind != _FLOAT or len(graph.inputs[0].shape) != 4:
        raise ModelUnusable("The model does not take one image: float32, (1, 3, H, W).")
    shape = graph.inputs[0].shape
    if "character" in graph.metadata or shape[2] == _LINE_HEIGHT:
        return _run_reader(file, graph.metadata)
    return _run_detector(file, shape, graph.metadata)


def run_text_detector(folder: Path, weights: Path) -> None:
    """Let PaddleOCR look for text on a grey picture, with this detector in Paddle's format.

    Raises ``RuntimeMissing`` without Paddle, ``ModelMissing`` or ``ModelUnusable``.
    """
    from anpr.models import manifest
    from anpr.paddle import PaddleReader

    reader = PaddleReader(
        manifest.find(weights, _RECOGNISER), engine="paddle", detection_model=folder
    )
    try:
        reader.read(_grey(_LINE_HEIGHT, 160))
    finally:
        reader.unload()


def _run_checkpoint(data: bytes, name: str) -> Facts:
    model = checkpoint.load(data, name)
    try:
        output = checkpoint.run(model)
        usable = output.ndim == 3 and bool((output == output).all())
    except Exception as error:
        raise ModelUnusable(f"The checkpoint '{name}' cannot be run.") from error
    if not usable:
        raise ModelUnusable(f"The checkpoint '{name}' gives nothing like boxes of plates.")
    return Facts("detector", (model.side, model.side), metrics=model.metrics)


def _run_detector(
    file: ModelFile, shape: tuple[int | str, ...], metadata: Mapping[str, str]
) -> Facts:
    from anpr.detect import OnnxDetector

    told = metadata.get("imgsz", "")
    side = int(told) if told.isdecimal() and 32 <= int(told[:5]) <= _MOST_SIDE else 320
    height, width = (size if isinstance(size, int) else side for size in shape[2:])
    if not all(1 <= size <= _MOST_SIDE for size in (height, width)):
        raise ModelUnusable(f"The model wants images of {width}x{height} pixels.")
    OnnxDetector(file, side=max(height, width)).detect(_grey(height, width))
    return Facts("detector", (height, width))


def _run_reader(file: ModelFile, metadata: Mapping[str, str]) -> Facts:
    from anpr.ocr import PLATE_ALPHABET, OnnxReader

    OnnxReader(file).read(_grey(_LINE_HEIGHT, 160))
    known = set(metadata.get("character", "").split("\n"))
    alphabet = "".join(letter for letter in PLATE_ALPHABET if letter in known)
    return Facts("reader", None, alphabet=alphabet)


def _grey(height: int, width: int) -> Image:
    import numpy as np

    return np.full((height, width, 3), 114, np.uint8)
