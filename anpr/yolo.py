"""What goes into a YOLO detector and what comes out of it: letterbox, suppression, heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from anpr.errors import ModelUnusable

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
