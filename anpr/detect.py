"""Plate detectors: the YOLO model on ONNX Runtime, and the same weights through Ultralytics."""

from __future__ import annotations

import math
import os
import threading
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from anpr import deadline, memory, pickles
from anpr.errors import ModelMismatch, ModelUnusable, RuntimeMissing
from anpr.onnx import OnnxModel, Opener, RunsGraph, open_session
from anpr.types import Box, Detection
from anpr.weights import ModelFile
from anpr.yolo import MAX_DETECTIONS, NMS_IOU, decode_head, letterbox

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from anpr.types import Image

_SURROUNDINGS: Final = 6  # widths of the plate that a closer look sees, at least
_PART_ASPECT: Final = 0.6  # its height by its width, as that of most photos
_MAX_CLOSER_LOOKS: Final = 4  # each costs as much as the first look
# Least confidence of a box that replaces the first one, and of a plate that makes a second look
# needless: 0.35 finds fewer plates, 0.6 looks at 40 % more photos for no more (training/README.md)
_SURE: Final = 0.5
_SAME_PLATE_IOU: Final = 0.35
_SMALLER: Final = 0.8  # of the first look's side: large plates, and those with coarse pixels


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


def _merged(finer: list[Detection], coarser: list[Detection]) -> list[Detection]:
    """What both looks saw, surest first; of the same plate the box with the finer pixels."""
    others = [
        one for one in coarser if all(one.box.iou(seen.box) < _SAME_PLATE_IOU for seen in finer)
    ]
    return sorted([*finer, *others], key=lambda one: -one.confidence)


def _mean(a: Box, weight_a: float, b: Box, weight_b: float) -> Box:
    """The weighted mean of two boxes (weighted boxes fusion, Solovyev et al., arXiv:1910.13302)."""
    share = weight_a / (weight_a + weight_b)
    pairs = zip((a.x1, a.y1, a.x2, a.y2), (b.x1, b.y1, b.x2, b.y2), strict=True)
    return Box(*(share * one + (1 - share) * other for one, other in pairs))


def _span(centre: float, length: float, limit: int) -> tuple[int, int]:
    """From where to where ``length`` pixels around a point reach, moved inside 0 to ``limit``."""
    start = max(0, min(int(centre - length / 2), math.ceil(limit - length)))
    return start, min(limit, math.ceil(start + length))


class _Looks(ABC):
    """A detector that looks again where its first look is not good enough.

    ``second_side``: where nothing is found at ``side``, or nothing that is sure, the whole image is
    seen at this side (0: it is not), and, if that shows nothing sure either, at a smaller one than
    the first. Most photos have a sure plate, so few pay for it.

    ``closer_width``: a plate that is narrower than this in the detector's input (0: none) is seen
    once more with only its surroundings around it. At 320 px a small plate is a few pixels high,
    and its box as much too high or too low as one of them; reading depends on the crop.
    """

    def __init__(self, side: int, second_side: int, closer_width: int) -> None:
        self._side = side
        self._second_side = second_side
        self._closer_width = closer_width
        self._smaller = max(32, round(side * _SMALLER / 32) * 32)

    def detect(self, image: Image) -> list[Detection]:
        """Plates in a BGR image (H, W, 3), in its pixels, surest first.

        Raises ``ModelError`` or ``DeadlineExceeded``.
        """
        longer = max(image.shape[:2])
        found = self._look(image, self._side)
        sure = bool(found) and found[0].confidence >= _SURE
        if not sure and longer > self._side < self._second_side:
            deadline.current().check()
            found = _merged(self._look(image, self._second_side), found)
            if not found or found[0].confidence < _SURE:
                deadline.current().check()
                found = _merged(found, self._look(image, self._smaller))
        small = [
            index
            for index, one in enumerate(found)
            if one.box.width * self._side / longer < self._closer_width
        ]
        for index in small[:_MAX_CLOSER_LOOKS]:
            deadline.current().check()
            found[index] = self._look_closer(image, found[index])
        return found

    def _look_closer(self, image: Image, found: Detection) -> Detection:
        """The same plate with the mean of its box and the one in a look at its surroundings.

        The part that is seen is never enlarged: pixels that are not there make no box better. Each
        box counts by how many pixels its look had for the plate, for that is how exact it is. The
        confidence stays: the look was at a place where a plate is likely.
        """
        height, width = image.shape[:2]
        box = found.box
        seen_px = max(box.width * _SURROUNDINGS, self._side)
        if seen_px >= max(height, width):
            return found
        left, right = _span((box.x1 + box.x2) / 2, seen_px, width)
        top, bottom = _span((box.y1 + box.y2) / 2, seen_px * _PART_ASPECT, height)
        seen = [
            one.box.moved(left, top)
            for one in self._look(np.ascontiguousarray(image[top:bottom, left:right]), self._side)
            if one.confidence >= _SURE
        ]
        best = max(seen, key=box.iou, default=None)
        if best is None or box.iou(best) < _SAME_PLATE_IOU:
            return found
        closer, coarser = 1 / seen_px, 1 / max(height, width)
        return replace(found, box=_mean(best, closer, box, coarser))

    @abstractmethod
    def _look(self, image: Image, side: int) -> list[Detection]: ...


class OnnxDetector(RunsGraph, _Looks):
    """A YOLO detector compiled to ONNX.

    ``side`` is the longer side of the input in pixels. A graph with free height and width gets
    the letterbox that fits the photo (16:9 has 60 % of the square's pixels); a fixed one gets the
    square it was made for, and no second look.
    """

    def __init__(
        self,
        file: ModelFile,
        *,
        side: int = 320,
        second_side: int = 0,
        closer_width: int = 0,
        confidence: float = 0.25,
        threads: int = 1,
        opener: Opener = open_session,
    ) -> None:
        super().__init__(side, second_side, closer_width)
        self._model = OnnxModel(file, threads=threads, opener=opener)
        self._confidence = confidence

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


class UltralyticsDetector(_Looks):
    """``last.pt`` through Ultralytics, on the CPU: the reference runtime.

    A ``.pt`` file is a pickle, hence code: it is loaded only when its SHA-256 is that of the
    manifest, and only after it was examined.
    """

    def __init__(
        self,
        file: ModelFile,
        *,
        side: int = 320,
        second_side: int = 0,
        closer_width: int = 0,
        confidence: float = 0.25,
        threads: int = 1,
    ) -> None:
        super().__init__(side, second_side, closer_width)
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
        try:
            result = yolo.predict(
                image,
                imgsz=side,
                conf=self._confidence,
                iou=NMS_IOU,
                max_det=MAX_DETECTIONS,
                device="cpu",
                verbose=False,
            )[0]
        except MemoryError:
            raise
        except Exception as error:  # Torch and Ultralytics raise whatever they trip over
            raise ModelUnusable from error
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
        pickles.examine(self._file.read(), self._file.path.name)
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
