"""A photograph of a flat plate: seen from aside, lit, blurred, and cut out as a detector does."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from training.synthesis import legible, sensor, surround
from training.synthesis.plate import Pixels, Plate, Points

SMALLEST_PX: Final = 8.0
LARGEST_PX: Final = 46.0
"""Height of characters as the sensor sees them. Below the first no eye reads them safely."""
_CONTRAST: Final = 26.0
"""Between ink and ground, in grey levels: less is not written into a training picture."""
LIKENESS: Final = 0.66
"""What must be left of every character's strokes, see ``legible.likeness``."""
_TRIES: Final = 3
_LONGEST_PX: Final = 640


def photograph(rng: np.random.Generator, plate: Plate, *, own_faces: bool = False) -> Plate:
    """A crop as a detector would cut it from a photo of this plate.

    The text stays legible: size, blur, noise and contrast are bounded by the characters' height.
    """
    height, width = plate.image.shape[:2]
    corners = _seen_from(rng, width / height)
    cap_px = float(SMALLEST_PX * (LARGEST_PX / SMALLEST_PX) ** rng.beta(1.1, 1.25))
    corners *= cap_px / legible.size(plate, corners)
    corners *= min(1.0, _LONGEST_PX / float(np.ptp(corners[:, 0])))
    box = _detector_box(rng, plate, corners)
    quad = (corners - box[:2]).astype(np.float32)
    size = int(max(8, box[2] - box[0])), int(max(8, box[3] - box[1]))
    rows = _through(plate, quad)
    clean = _as_drawn(plate, quad, size)
    for _ in range(_TRIES):
        scene = _compose(rng, _soiled(rng, plate), quad, size, own_faces)
        scene = _spoil(rng, scene, rows, cap_px)
        if legible.likeness(clean, scene, rows, plate.lines) >= LIKENESS:
            break
    else:
        scene = _compose(rng, plate.image, quad, size, own_faces)
    pixels, scale = _stored(rng, sensor.to_bytes(scene), cap_px)
    return replace(plate, image=pixels, quad=quad * scale, rows=rows * scale)


def _soiled(rng: np.random.Generator, plate: Plate) -> Pixels:
    image = plate.image.copy()
    if rng.random() < 0.4:
        surround.screws(image, plate, rng)
    if rng.random() < 0.18:
        surround.dirt(image, rng)
    if rng.random() < 0.04:
        surround.drops(image, rng)
    if rng.random() < 0.025:
        surround.tow_ball(image, plate, rng)
    return image


def _as_drawn(plate: Plate, quad: Points, size: tuple[int, int]) -> Pixels:
    """The plate alone, grey, where the photograph has it."""
    height, width = plate.image.shape[:2]
    shrink = min(1.0, float(np.linalg.norm(quad[3] - quad[0])) * 1.15 / height)
    grey = cv2.cvtColor(plate.image, cv2.COLOR_BGR2GRAY)
    grey = cv2.resize(
        grey, (round(width * shrink), round(height * shrink)), interpolation=cv2.INTER_AREA
    )
    tall, wide = grey.shape
    corners = np.array([(0, 0), (wide, 0), (wide, tall), (0, tall)], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, quad)
    return np.asarray(cv2.warpPerspective(grey, matrix, size), np.uint8)


def _seen_from(rng: np.random.Generator, aspect: float) -> Points:
    """Corners of a plate of height 1 after a turn in space and a projection; float32 (4, 2)."""
    hard = rng.random() < 0.35
    yaw = np.radians(rng.normal(0, 28) if hard else rng.normal(0, 10))
    yaw = float(np.clip(yaw, -np.radians(52), np.radians(52)))
    pitch = np.radians(rng.normal(0, 16) if hard else rng.normal(0, 7))
    pitch = float(np.clip(pitch, -np.radians(35), np.radians(35)))
    roll = np.radians(rng.normal(0, 6) if hard else rng.normal(0, 2.2))
    roll = float(np.clip(roll, -np.radians(16), np.radians(16)))
    x, y = aspect / 2, 0.5
    points = np.array([(-x, -y, 0), (x, -y, 0), (x, y, 0), (-x, y, 0)])
    turn_y = np.array([(np.cos(yaw), 0, np.sin(yaw)), (0, 1, 0), (-np.sin(yaw), 0, np.cos(yaw))])
    turn_x = np.array(
        [(1, 0, 0), (0, np.cos(pitch), -np.sin(pitch)), (0, np.sin(pitch), np.cos(pitch))]
    )
    turn_z = np.array(
        [(np.cos(roll), -np.sin(roll), 0), (np.sin(roll), np.cos(roll), 0), (0, 0, 1)]
    )
    points = points @ turn_y.T @ turn_x.T @ turn_z.T
    away = aspect * float(rng.uniform(2.0, 9.0))
    return np.asarray(points[:, :2] * away / (away + points[:, 2:]), np.float32)


def _detector_box(rng: np.random.Generator, plate: Plate, corners: Points) -> Points:
    """x1, y1, x2, y2 of the crop in the corners' plane: a box with its error, and padding."""
    low, high = corners.min(0), corners.max(0)
    span = high - low
    kind = float(rng.random())
    error = rng.normal(0, 0.025, 4) * np.tile(span, 2)
    padding = np.full(4, float(rng.uniform(0.03, 0.22)) * span[1])
    margins = padding + error
    if kind < 0.12:  # a small plate's box: too tall
        margins[[1, 3]] += rng.uniform(0, 0.5, 2) * span[1]
    elif kind < 0.2:  # generous on all sides
        margins += rng.uniform(0, 0.3, 4) * span[1]
    elif kind < 0.3:  # tight: into the frame
        margins = error
    rows = _through(plate, corners).reshape(-1, 2)
    keep = 0.06 * span[1]
    limit = np.concatenate([low - rows.min(0), rows.max(0) - high]) + keep
    margins = np.maximum(margins, limit)
    edges = np.concatenate([low - margins[:2], high + margins[2:]])
    return np.asarray(np.floor(edges), np.float32)


def _through(plate: Plate, quad: Points) -> Points:
    """The rows' corners where the plate's corners are at ``quad``."""
    matrix = cv2.getPerspectiveTransform(plate.quad, quad)
    return np.asarray(
        cv2.perspectiveTransform(plate.rows.reshape(-1, 1, 2), matrix), np.float32
    ).reshape(-1, 4, 2)


def _compose(
    rng: np.random.Generator,
    image: Pixels,
    quad: Points,
    size: tuple[int, int],
    own_faces: bool,
) -> sensor.Floats:
    """The mounted plate over bodywork, at the sensor's resolution."""
    height, width = image.shape[:2]
    framed, mask, (left, top) = surround.mount(image, rng, own_faces)
    tall = float(np.linalg.norm(quad[3] - quad[0]))
    shrink = min(1.0, tall * 1.15 / height)
    if shrink < 0.85:
        size_px = round(framed.shape[1] * shrink), round(framed.shape[0] * shrink)
        framed = np.asarray(cv2.resize(framed, size_px, interpolation=cv2.INTER_AREA), np.uint8)
        mask = np.asarray(cv2.resize(mask, size_px, interpolation=cv2.INTER_AREA), np.uint8)
    else:
        shrink = 1.0
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    corners = (corners + np.array([left, top], np.float32)) * np.float32(shrink)
    matrix = cv2.getPerspectiveTransform(corners, quad)
    plate = cv2.warpPerspective(framed, matrix, size, flags=cv2.INTER_LINEAR)
    alpha = cv2.warpPerspective(mask, matrix, size, flags=cv2.INTER_LINEAR)
    scene = surround.bodywork(*size, rng)
    if rng.random() < 0.08:  # a flash or an infra-red lamp, which the plate alone throws back
        scene *= np.float32(rng.uniform(0.05, 0.4))
    weight = (alpha.astype(np.float32) / 255)[:, :, None]
    if rng.random() < 0.5:  # the plate's shadow on the bodywork
        reach = max(1.0, tall * float(rng.uniform(0.02, 0.12)))
        soft = cv2.GaussianBlur(alpha, (0, 0), reach)
        scene *= 1 - (soft.astype(np.float32) / 255 * float(rng.uniform(0.2, 0.7)))[:, :, None]
    return np.asarray(scene + weight * (plate - scene), np.float32)


def _spoil(
    rng: np.random.Generator, scene: sensor.Floats, rows: Points, cap_px: float
) -> sensor.Floats:
    """Light, blur and noise; light that would drown the characters is left out."""
    lit = sensor.uneven_light(scene, rng) if rng.random() < 0.7 else scene
    if rng.random() < 0.05:
        lit = sensor.lamps(lit, rows, rng)
    toned = sensor.tone(lit, rng)
    contrast = _contrast(toned, rows)
    if contrast < _CONTRAST:
        toned, contrast = scene, _contrast(scene, rows)
    blurred = sensor.blur(toned, rng, cap_px)
    if rng.random() < 0.15:
        blurred = sensor.sharpen(blurred, rng)
    most = contrast * 0.22 * min(1.5, cap_px / 14)
    return sensor.noise(blurred, rng, min(most, 32.0)) if rng.random() < 0.55 else blurred


def _contrast(scene: sensor.Floats, rows: Points) -> float:
    """Grey levels between dark and bright among the characters, least of all lines."""
    least = 255.0
    for row in rows:
        (x1, y1), (x2, y2) = np.floor(row.min(0)).astype(int), np.ceil(row.max(0)).astype(int)
        region = scene[max(0, y1) : y2, max(0, x1) : x2]
        if region.size:
            grey = np.clip(region, 0, 255).mean(2)
            dark, bright = np.percentile(grey, [12, 85])
            least = min(least, float(bright - dark))
    return least


def _stored(rng: np.random.Generator, image: Pixels, cap_px: float) -> tuple[Pixels, float]:
    """As a file keeps it: compressed, perhaps enlarged before or after; and the enlargement."""
    poor = cap_px < 14
    quality = int(rng.integers(45 if poor else 25, 97))
    scale = 1.0
    kind = float(rng.random())
    if kind < 0.25:
        scale = float(rng.uniform(1.0, 2.6 if cap_px < 20 else 1.4))
    before = rng.random() < 0.5
    if before and rng.random() < 0.75:
        image = sensor.jpeg(image, quality)
    if scale > 1.05:
        way = int(
            rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_LANCZOS4])
        )
        larger = cv2.resize(image, None, fx=scale, fy=scale, interpolation=way)
        image = np.asarray(larger, np.uint8)
    else:
        scale = 1.0
    if not before and rng.random() < 0.75:
        image = sensor.jpeg(image, quality)
    return image, scale
