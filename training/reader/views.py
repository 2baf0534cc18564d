"""What the recogniser sees of a crop in training: as at run time, and spoiled as cameras do.

A view is a uint8 BGR image of the recogniser's input size. A plate of two lines gives two kinds:
seen whole, it has the text ``TWO_LINES``; its lines laid side by side, it has its text. At a
glance a plate of one line has no text at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from anpr import layout
from anpr.ocr import GLANCE_WIDTH, INPUT_HEIGHT, PAIR_WIDTH, PLATE_WIDTH, TWO_LINES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from anpr.types import Image

WHOLE_OF_TWO: Final = 0.35  # how often a plate of two lines is seen whole
GLANCES: Final = 0.1  # how often a plate is seen at a glance
PADDED_WIDTH: Final = 320  # PaddleOCR keeps the aspect and pads to this
_MOST_ZOOM: Final = 4
_LEAST_ROWS: Final = 13  # of the whole crop: characters of about 8 px


@dataclass(frozen=True, slots=True)
class Sample:
    """A BGR crop with the corners of its plate, float32 (4, 2) pixels, from the upper left
    clockwise. ``rows`` (2, 4, 2) are those of its lines where they are known."""

    image: Image
    quad: NDArray[np.float32]
    text: str
    two_lines: bool
    rows: NDArray[np.float32] | None = None


def view(
    rng: np.random.Generator, sample: Sample, *, spoil: bool, padded: bool
) -> tuple[Image, str]:
    """An image (48, W, 3) and its text.

    W is ``PLATE_WIDTH``, ``PAIR_WIDTH`` for lines side by side, ``GLANCE_WIDTH`` at a glance. With
    ``padded`` a whole plate keeps its aspect, as far as ``PADDED_WIDTH``, and none is glanced at.
    ``spoil`` is for real crops; drawn ones come spoiled.
    """
    image = _spoil_before(rng, sample.image) if spoil else sample.image
    if not padded and rng.random() < GLANCES:
        seen = _whole(rng, image, sample.quad, GLANCE_WIDTH)
        text = TWO_LINES if sample.two_lines else ""
        return (_spoil_after(rng, seen) if spoil else seen), text
    if sample.two_lines and rng.random() >= WHOLE_OF_TWO:
        joined = _joined(rng, image, sample.rows)
        if joined is not None:
            return (_spoil_after(rng, joined) if spoil else joined), sample.text
    text = TWO_LINES if sample.two_lines else sample.text
    seen = _whole(rng, image, sample.quad, None if padded else PLATE_WIDTH)
    return (_spoil_after(rng, seen) if spoil else seen), text


def _whole(
    rng: np.random.Generator, image: Image, quad: NDArray[np.float32], out: int | None
) -> Image:
    """The plate with margins as detectors leave them, a little turned, ``out`` px wide.

    Without ``out`` its aspect is kept.
    """
    width, height = np.ptp(quad, axis=0)
    centre = quad.mean(axis=0)
    x1, y1 = quad.min(axis=0)
    x2, y2 = quad.max(axis=0)
    box = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    share = rng.random() * 0.7  # between the upright box and the plate's own corners
    corners = box + (quad - box) * share
    grow = np.array([_margin(rng, 0.09), _margin(rng, 0.14)], np.float32)
    corners = centre + (corners - centre) * (1 + 2 * grow)
    corners += rng.normal(0, (0.012 * width, 0.035 * height), (4, 2))
    corners += rng.normal(0, (0.015 * width, 0.03 * height), 2)
    turn = np.radians(rng.normal(0, 2.5))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corners = centre + (corners - centre) @ rotation.T
    if out is None:
        out = int(np.clip(INPUT_HEIGHT * width / max(height, 1), 48, PADDED_WIDTH))
    return _warp(image, corners.astype(np.float32), out, INPUT_HEIGHT)


def _margin(rng: np.random.Generator, scale: float) -> float:
    return float(np.clip(rng.exponential(scale) - 0.02, -0.03, 3 * scale))


def _warp(image: Image, corners: NDArray[np.float32], width: int, height: int) -> Image:
    source = np.hypot(*(corners[1] - corners[0]))
    # two steps where much is taken away, or it flickers
    zoom = int(np.clip(np.ceil(source / width - 0.5), 1, _MOST_ZOOM))
    big = (width * zoom, height * zoom)
    target = np.array([[0, 0], [big[0], 0], [big[0], big[1]], [0, big[1]]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, target)
    warped = cv2.warpPerspective(
        image, matrix, big, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    if zoom > 1:
        warped = cv2.resize(warped, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(warped, np.uint8)


def _joined(
    rng: np.random.Generator, image: Image, rows: NDArray[np.float32] | None
) -> Image | None:
    """The two lines side by side, where the layout shows them, cut a little off at random."""
    seen = layout.analyse(image)
    bands = seen.pair or seen.halves
    if bands is None or (rows is not None and not _apart(bands, rows[..., 1] / image.shape[0])):
        return None
    moved = [(top + rng.normal(0, 0.02), bottom + rng.normal(0, 0.02)) for top, bottom in bands]
    side = image.shape[1] * rng.uniform(0.0, 0.06)
    level = layout.level(image, seen.slant_deg + rng.normal(0, 1.0))
    inner = level[:, int(side) : image.shape[1] - int(side)]
    return layout.side_by_side(inner, (moved[0], moved[1]), (PAIR_WIDTH, INPUT_HEIGHT))


def _apart(bands: layout.Bands, rows: NDArray[np.float32]) -> bool:
    """Does each band hold the middle of its own line, and not that of the other?"""
    middles = rows.mean(axis=1)
    (top, upper), (lower, bottom) = bands
    return bool(top < middles[0] < upper <= lower < middles[1] < bottom)


def _spoil_before(rng: np.random.Generator, image: Image) -> Image:
    """Fewer pixels, as from far away."""
    if rng.random() < 0.35:
        rows = float(np.exp(rng.uniform(np.log(_LEAST_ROWS), np.log(60))))
        scale = rows / image.shape[0]
        if scale < 1:
            size = max(8, round(image.shape[1] * scale)), max(4, round(rows))
            small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            way = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(2))]
            back = image.shape[1], image.shape[0]
            image = np.asarray(cv2.resize(small, back, interpolation=way), np.uint8)
    return image


def _spoil_after(rng: np.random.Generator, image: Image) -> Image:
    """Light, colour, blur, noise and compression."""
    pixels = image.astype(np.float32)
    if rng.random() < 0.25:
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    elif rng.random() < 0.3:
        pixels *= rng.uniform(0.6, 1.3, (1, 1, 3)).astype(np.float32)
    elif rng.random() < 0.1:
        pixels = pixels[..., rng.permutation(3)]
    if rng.random() < 0.06:
        pixels = 255 - pixels
    if rng.random() < 0.7:
        mean = pixels.mean()
        pixels = (pixels - mean) * rng.uniform(0.35, 1.5) + mean + rng.normal(0, 30)
    if rng.random() < 0.3:
        pixels = 255 * (np.clip(pixels, 0, 255) / 255) ** np.exp(rng.normal(0, 0.4))
    if rng.random() < 0.25:
        pixels = _shade(rng, pixels)
    if rng.random() < 0.3:
        pixels = _blur(rng, pixels)
    if rng.random() < 0.35:
        pixels = pixels + rng.normal(0, rng.uniform(2, 16), pixels.shape).astype(np.float32)
    spoiled = np.clip(pixels, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = int(rng.integers(25, 85))
        _, data = cv2.imencode(".jpg", spoiled, [cv2.IMWRITE_JPEG_QUALITY, quality])
        spoiled = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return spoiled


def _shade(rng: np.random.Generator, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """A shadow or a light with a straight, soft edge."""
    height, width = pixels.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    ramp = (np.cos(angle) * x + np.sin(angle) * y - rng.uniform(-0.7, 0.7)) / rng.uniform(0.02, 1)
    lit = 1 / (1 + np.exp(-np.clip(ramp, -30, 30)))
    return np.asarray(pixels * (1 + (rng.uniform(0.4, 1.5) - 1) * lit[..., None]), np.float32)


def _blur(rng: np.random.Generator, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.6)), np.float32)
    length = int(rng.integers(3, 8))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), rng.uniform(0, 180), 1)
    turned = cv2.warpAffine(kernel, turn, (length, length))
    return np.asarray(cv2.filter2D(pixels, -1, turned / max(turned.sum(), 1e-6)), np.float32)


def plain(image: Image) -> Image:
    """A crop as the reader sees it whole at run time."""
    return layout.scaled(image, (PLATE_WIDTH, INPUT_HEIGHT))
