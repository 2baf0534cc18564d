"""Plate detectors: the YOLO model on ONNX Runtime, and the same weights through Ultralytics."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from anpr import deadline, memory
from anpr.errors import ModelMismatch, ModelUnusable, RuntimeMissing
from anpr.onnx import OnnxModel
from anpr.types import Box, Detection
from anpr.weights import ModelFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from anpr.types import Image

# Plates do not overlap; below Ultralytics' 0.7, at which one plate keeps two boxes (on `val`,
# precision at confidence 0.25 is 0.878 with 0.7 and 0.906 with 0.45, recall the same)
NMS_IOU: Final = 0.45
MAX_DETECTIONS: Final = 300  # Ultralytics' default
PADDING_VALUE: Final = 114  # grey of the letterbox
STRIDE: Final = 32  # of the coarsest YOLO level: sides of the input are multiples of it


@dataclass(frozen=True, slots=True)
class Letterboxed:
    """A point (x, y) of the image lies at (x · scale_x + left, y · scale_y + top) of ``pixels``."""

    pixels: Image
    scale_x: float
    scale_y: float
    left: int
    top: int


def letterbox(image: Image, side: int, *, square: bool = False) -> Letterboxed:
    """Scale the longer side to ``side`` and pad with grey to multiples of ``STRIDE``.

    ``square`` pads to side × side. The scales of both axes differ by the rounding to whole pixels.
    The arithmetic is that of Ultralytics' ``LetterBox`` (auto=True), rounding included, so that
    both runtimes see the same pixels.
    """
    height, width = image.shape[:2]
    scale = side / max(height, width)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    if (new_width, new_height) != (width, height):
        image = np.asarray(
            cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR), np.uint8
        )
    if square:
        pad_x, pad_y = side - new_width, side - new_height
    else:
        pad_x, pad_y = -new_width % STRIDE, -new_height % STRIDE
    left, right = round(pad_x / 2 - 0.1), round(pad_x / 2 + 0.1)
    top, bottom = round(pad_y / 2 - 0.1), round(pad_y / 2 + 0.1)
    grey = (PADDING_VALUE,) * 3
    boxed = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=grey)
    pixels = np.asarray(boxed, np.uint8)
    return Letterboxed(pixels, new_width / width, new_height / height, left, top)


def nms(boxes: NDArray[np.float32], scores: NDArray[np.float32], iou: float) -> list[int]:
    """Indices of the boxes (N, 4; x1 y1 x2 y2) that greedy non-maximum suppression keeps."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        top_left = np.maximum(boxes[best, :2], boxes[rest, :2])
        bottom_right = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        overlap = np.prod(np.clip(bottom_right - top_left, 0, None), axis=1)
        union = area[best] + area[rest] - overlap
        order = rest[overlap <= iou * np.maximum(union, 1e-9)]
    return kept


def decode_head(
    output: NDArray[np.float32], confidence: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes (N, 4; x1 y1 x2 y2, pixels of the input) and scores (N,), surest first.

    Understands YOLO's raw head (1, 4 + classes, anchors; centre, size, class scores), which needs
    suppression, and the end-to-end head (1, detections, 6; corners, score, class), which does not.
    """
    rows = output[0]
    if rows.ndim != 2 or output.shape[0] != 1:
        raise ModelUnusable("The detector's output has a shape that is not known.")
    if rows.shape[1] == 6 and rows.shape[0] != 6:  # end to end
        rows = rows[rows[:, 4] >= confidence]
        order = np.argsort(-rows[:, 4], kind="stable")[:MAX_DETECTIONS]
        return rows[order, :4], rows[order, 4]
    if rows.shape[0] < 5:
        raise ModelUnusable("The detector's output has a shape that is not known.")
    scores = rows[4:].max(axis=0)
    likely = scores >= confidence
    scores, (cx, cy, w, h) = scores[likely], rows[:4, likely]
    boxes = np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], axis=1)
    kept = nms(boxes, scores, NMS_IOU)[:MAX_DETECTIONS]
    return boxes[kept], scores[kept]


def _detections(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], width: int, height: int
) -> list[Detection]:
    """Values of a model as detections inside the image; what has no area is dropped."""
    found = []
    for corners, score in zip(boxes.tolist(), scores.tolist(), strict=True):
        box = Box(*corners).clipped(width, height)
        if box.width >= 1 and box.height >= 1 and np.isfinite(score):
            found.append(Detection(box, min(1.0, float(score))))
    return found


class _TwoLooks(ABC):
    """A detector that looks a second time, more finely, where the first look found nothing.

    Small plates vanish at 320 px; most photos have a plate that does not, so the second look's
    cost (four times the first's at twice the side) is paid by few.
    """

    def __init__(self, side: int, second_side: int) -> None:
        self._side = side
        self._second_side = second_side

    def detect(self, image: Image) -> list[Detection]:
        """Plates in a BGR image (H, W, 3), in its pixels, surest first.

        Raises ``ModelError`` or ``DeadlineExceeded``.
        """
        found = self._look(image, self._side)
        if not found and self._second_side > self._side and max(image.shape[:2]) > self._side:
            deadline.current().check()
            found = self._look(image, self._second_side)
        return found

    @abstractmethod
    def _look(self, image: Image, side: int) -> list[Detection]: ...


class OnnxDetector(_TwoLooks):
    """A YOLO detector compiled to ONNX.

    ``side`` is the longer side of the input in pixels, ``second_side`` that of a second look
    where the first finds nothing (0: none). A graph with free height and width gets the letterbox
    that fits the photo (16:9 has 60 % of the square's pixels); a fixed one gets the square it was
    made for, and no second look.
    """

    def __init__(
        self,
        file: ModelFile,
        *,
        side: int = 320,
        second_side: int = 0,
        confidence: float = 0.25,
        threads: int = 1,
    ) -> None:
        super().__init__(side, second_side)
        self._model = OnnxModel(file, threads=threads)
        self._confidence = confidence

    @property
    def name(self) -> str:
        return self._model.name

    def load(self) -> None:
        self._model.load()

    def unload(self) -> None:
        self._model.unload()

    def _look(self, image: Image, side: int) -> list[Detection]:
        fixed = self._model.input_shape[2]
        if isinstance(fixed, int):
            if side != self._side:
                return []
            side = fixed
        boxed = letterbox(image, side, square=isinstance(fixed, int))
        # one pass: BGR → RGB, HWC → NCHW, 0…255 → 0…1
        batch = cv2.dnn.blobFromImage(boxed.pixels, 1 / 255, swapRB=True)
        boxes, scores = decode_head(self._model.run(np.asarray(batch)), self._confidence)
        boxes -= np.array([boxed.left, boxed.top] * 2, np.float32)
        boxes /= np.array([boxed.scale_x, boxed.scale_y] * 2, np.float32)
        height, width = image.shape[:2]
        return _detections(boxes, scores, width, height)


class UltralyticsDetector(_TwoLooks):
    """``last.pt`` through Ultralytics, on the CPU: the reference runtime.

    A ``.pt`` file is a pickle, hence code: it is loaded only when its SHA-256 is that of the
    manifest.
    """

    def __init__(
        self,
        file: ModelFile,
        *,
        side: int = 320,
        second_side: int = 0,
        confidence: float = 0.25,
        threads: int = 1,
    ) -> None:
        super().__init__(side, second_side)
        self._file = file
        self._confidence = confidence
        self._threads = threads
        self._lock = threading.Lock()
        self._yolo: Any = None

    @property
    def name(self) -> str:
        return self._file.name

    def load(self) -> None:
        """Raises ``RuntimeMissing``, ``ModelMissing``, ``ModelMismatch`` or ``ModelUnusable``."""
        self._ready()

    def unload(self) -> None:
        with self._lock:
            self._yolo = None
        memory.release()

    def _look(self, image: Image, side: int) -> list[Detection]:
        yolo = self._ready()
        result = yolo.predict(
            image,
            imgsz=side,
            conf=self._confidence,
            iou=NMS_IOU,
            max_det=MAX_DETECTIONS,
            device="cpu",
            verbose=False,
        )[0]
        height, width = image.shape[:2]
        return _detections(result.boxes.xyxy.numpy(), result.boxes.conf.numpy(), width, height)

    def _ready(self) -> Any:
        with self._lock:
            if self._yolo is None:
                self._yolo = self._open()
            return self._yolo

    def _open(self) -> Any:
        if self._file.sha256 is None:
            raise ModelMismatch(
                f"The model file '{self._file.path.name}' is a pickle that no manifest vouches for."
            )
        self._file.read()
        # A failed import or open inside Ultralytics would otherwise start a pip install
        os.environ["YOLO_AUTOINSTALL"] = "false"
        os.environ.setdefault("YOLO_VERBOSE", "false")
        try:
            import torch
            from ultralytics import YOLO
        except ImportError as error:
            raise RuntimeMissing(
                "The detector runtime 'ultralytics' is not installed: run 'make reference'."
            ) from error
        torch.set_num_threads(self._threads)
        try:
            return YOLO(self._file.path, task="detect")
        except Exception as error:
            raise ModelUnusable(
                f"The model file '{self._file.path.name}' cannot be loaded by Ultralytics."
            ) from error
