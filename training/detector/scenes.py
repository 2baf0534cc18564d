"""Scenes for the rare: other countries' plates on the cars of ``photos/train``, and no plates.

A labelled plate is painted away (Telea's inpainting) and a drawn one put in its place: as wide, as
bright and as blurred as the one that was there, in a perspective of its own, so that the label is
tight by construction. Beside it come boards, stickers, captions and numbers that are no plates and
bear no label, and over all of it sometimes night, rain, glare or a moving camera.

Scene N is decided by the photos, the installed fonts and N alone.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from training import data
from training.data import Photo, yolo_lines
from training.synthesis import draw
from training.synthesis.plate import Pixels

SMALLEST_PX = 10.0
"""Of a label's width: what is narrower stays as it is."""
REPLACED = 0.8
WORDS = [
    "TAXI",
    "POLICE",
    "SALE",
    "PARKING",
    "NO",
    "PARKING",
    "CAR",
    "SALES",
    "TEL",
    "RENT",
    "A",
    "CAR",
    "TURBO",
    "SPORT",
    "4X4",
    "HYBRID",
    "AUTOMATIC",
    "MOTORS",
    "SERVICE",
    "EXIT",
    "BUS",
    "STOP",
    "CUSTOMER",
    "WWW.CARS.COM",
    "FOR",
    "SALE",
    "REF",
    "STOCK",
    "PHOTO",
    "GARAGE",
]
FACES = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
)

Floats = npt.NDArray[np.float32]


def build(photos: Sequence[Photo], out: Path, count: int) -> None:
    """Bring ``images/scenes`` and ``labels/scenes`` of a data set to ``count`` scenes.

    Raises ``FontsMissing`` where too few fonts are installed to draw plates with.
    """
    images, labels = out / "images" / data.SCENES, out / "labels" / data.SCENES
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    for path in [*images.glob("scene-*.jpg"), *labels.glob("scene-*.txt")]:
        if int(path.stem.removeprefix("scene-")) >= count:
            path.unlink()
    for number in range(count):
        if (labels / f"scene-{number:05}.txt").is_file():
            continue  # made before, and every number has its own seed
        pixels, photo = scene(photos, number)
        cv2.imwrite(str(images / f"scene-{number:05}.jpg"), pixels)
        text = "".join(f"{line}\n" for line in yolo_lines(photo))
        (labels / f"scene-{number:05}.txt").write_text(text, encoding="utf-8")


def scene(photos: Sequence[Photo], number: int, *, own_faces: bool = False) -> tuple[Pixels, Photo]:
    """Scene ``number``: its pixels (BGR) and a photo whose boxes are those of its plates.

    ``own_faces`` draws plates without the system's fonts.
    """
    rng = np.random.default_rng([number, 4])
    photo = photos[int(rng.integers(len(photos)))]
    read = cv2.imread(str(photo.path), cv2.IMREAD_COLOR)
    if read is None:
        raise FileNotFoundError(photo.path)
    pixels = np.asarray(read, np.uint8)
    height, width = pixels.shape[:2]
    boxes = []
    for box in photo.boxes:
        if box[2] - box[0] < SMALLEST_PX or rng.random() > REPLACED:
            boxes.append(box)
        else:
            plate = draw(rng, own_faces=own_faces).image
            boxes.append(_replace(pixels, box, plate.astype(np.float32), rng))
    for _ in range(int(rng.integers(0, 3))):
        _board(pixels, boxes, rng)
    if rng.random() < 0.25:
        _caption(pixels, boxes, rng)
    made = Photo(photo.path, "scenes", photo.source, width, height, tuple(boxes))
    return _weather(pixels, rng), made


def _replace(
    pixels: Pixels,
    box: tuple[float, float, float, float],
    plate: Floats,
    rng: np.random.Generator,
) -> tuple[float, float, float, float]:
    """Put a drawn ``plate`` where ``box`` has one. Returns the box of the new one."""
    x1, y1, x2, y2 = box
    wide, high = x2 - x1, y2 - y1
    tall, broad = plate.shape[:2]
    area = _around(pixels, box, 0.6)
    there = pixels[area]
    level = pixels[_around(pixels, box, 0.0)].reshape(-1, 3).astype(np.float32)
    hole = np.zeros(there.shape[:2], np.uint8)
    dx, dy = 0.06 * wide + 1, 0.12 * high + 1
    left, top = x1 - area[1].start, y1 - area[0].start
    cv2.rectangle(
        hole,
        (int(left - dx), int(top - dy)),
        (int(left + wide + dx), int(top + high + dy)),
        255,
        -1,
    )
    clean = cv2.inpaint(there, hole, 3, cv2.INPAINT_TELEA).astype(np.float32)

    width = wide * rng.uniform(0.85, 1.1)
    width *= min(1.0, 1.7 * high / (width * tall / broad))  # a square plate is not as wide
    size = np.array([width, width * tall / broad], np.float32)
    flat = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], np.float32) * size
    slant = rng.normal(0, 0.05, (2, 2)).astype(np.float32)
    slant[1] *= 0.4
    quad = flat @ (np.eye(2, dtype=np.float32) + slant).T
    quad *= 1 + rng.normal(0, 0.03, (4, 1)).astype(np.float32)
    quad += np.array([left + wide / 2, top + high / 2], np.float32)

    # what one pixel of the photo covers is blurred before it is sampled
    gain = (np.percentile(level, 70, axis=0) + 4) / (
        np.percentile(plate.reshape(-1, 3), 70, axis=0) + 4
    )
    plate *= np.clip(gain, 0.1, 1.4)
    fine = max(0.4, 0.5 * broad / max(width, 1.0) * rng.uniform(0.8, 1.8))
    plate = np.asarray(cv2.GaussianBlur(plate, (0, 0), fine), np.float32)
    corners = np.array([[0, 0], [broad, 0], [broad, tall], [0, tall]], np.float32)
    to_photo = cv2.getPerspectiveTransform(corners, quad)
    extent = there.shape[1], there.shape[0]
    seen = cv2.warpPerspective(plate, to_photo, extent, borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros(there.shape[:2], np.float32)
    cv2.fillConvexPoly(mask, np.round(quad * 16).astype(np.int32), 1.0, cv2.LINE_AA, shift=4)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.5), np.float32)[..., None]
    noise = rng.normal(0, rng.uniform(0, 5), seen.shape)
    pixels[area] = np.clip(clean * (1 - mask) + (seen + noise) * mask, 0, 255).astype(np.uint8)
    low, high_corner = quad.min(axis=0), quad.max(axis=0)
    offset = np.array([area[1].start, area[0].start], np.float32)
    (a, b), (c, d) = (low + offset).tolist(), (high_corner + offset).tolist()
    return a, b, c, d


def _around(
    pixels: Pixels, box: tuple[float, float, float, float], share: float
) -> tuple[slice, slice]:
    """The part of the photo that a box covers, grown by a share of its width, at least a pixel."""
    height, width = pixels.shape[:2]
    grown = share * (box[2] - box[0]) + (3 if share else 0)
    left, top = max(0, int(box[0] - grown)), max(0, int(box[1] - grown))
    right, bottom = min(width, int(box[2] + grown) + 1), min(height, int(box[3] + grown) + 1)
    return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


def _text(rng: np.random.Generator) -> str:
    if rng.random() < 0.25:
        alphabet = list(string.digits + " -")
        return "".join(rng.choice(alphabet, int(rng.integers(4, 12))))
    return " ".join(rng.choice(WORDS, int(rng.integers(1, 3))))


def _board(
    pixels: Pixels,
    boxes: Sequence[tuple[float, float, float, float]],
    rng: np.random.Generator,
) -> None:
    """A board, a sticker or bare letters somewhere in the photo, away from its plates."""
    height, width = pixels.shape[:2]
    text, face = _text(rng), FACES[int(rng.integers(len(FACES)))]
    scale, thick = 1.2, int(rng.integers(1, 4))
    (wide, high), base = cv2.getTextSize(text, face, scale, thick)
    margin = int(rng.integers(4, 24))
    ground, ink = rng.integers(0, 256, 3), rng.integers(0, 256, 3)
    if rng.random() < 0.5:  # black on white and the like: nearest to a plate
        ground, ink = np.full(3, rng.integers(170, 256)), np.full(3, rng.integers(0, 80))
    board = np.full((high + base + 2 * margin, wide + 2 * margin, 3), ground, np.uint8)
    at = margin, margin + high
    cv2.putText(board, text, at, face, scale, tuple(map(int, ink)), thick, cv2.LINE_AA)
    target = int(np.clip(rng.lognormal(np.log(0.14 * width), 0.6), 14, 0.7 * width))
    tall = max(4, round(board.shape[0] * target / board.shape[1]))
    small = cv2.resize(board, (target, tall), interpolation=cv2.INTER_AREA)
    if tall >= height:
        return
    x, y = int(rng.integers(0, width - target + 1)), int(rng.integers(0, height - tall))
    spot = (x - 4, y - 4, x + target + 4, y + tall + 4)
    if any(b[0] < spot[2] and b[2] > spot[0] and b[1] < spot[3] and b[3] > spot[1] for b in boxes):
        return
    place = pixels[y : y + tall, x : x + target]
    light = float(place.mean()) / 128
    lit = np.clip(small.astype(np.float32) * np.clip(light, 0.15, 1.2), 0, 255)
    alpha = 1.0
    if rng.random() < 0.35:  # letters alone, without their board
        alpha = (np.abs(small.astype(np.float32) - ground).max(axis=2, keepdims=True) > 40) * 0.9
    lit = np.asarray(cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.3, 0.9)), np.float32)
    place[:] = np.clip(lit * alpha + place * (1.0 - np.asarray(alpha)), 0, 255).astype(np.uint8)


def _caption(
    pixels: Pixels,
    boxes: Sequence[tuple[float, float, float, float]],
    rng: np.random.Generator,
) -> None:
    """A line of text over the photo's edge, as picture agencies and dealers put there."""
    height, width = pixels.shape[:2]
    strip = int(rng.integers(10, 26))
    top = height - strip if rng.random() < 0.7 else 0
    if any(b[1] < top + strip and b[3] > top for b in boxes):
        return
    part = pixels[top : top + strip]
    if rng.random() < 0.6:
        part[:] = (part * 0.3 + rng.integers(0, 256) * 0.7).astype(np.uint8)
    bright = int(part.mean())
    ink = (20,) * 3 if bright > 128 else (235,) * 3
    at = int(rng.integers(0, width // 2)), strip - 4
    face = FACES[int(rng.integers(len(FACES)))]
    cv2.putText(part, _text(rng), at, face, strip / 40, ink, 1, cv2.LINE_AA)


def _weather(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Night, glare, rain and shake, each in few scenes."""
    image: Floats = pixels.astype(np.float32)
    height, width = pixels.shape[:2]
    if rng.random() < 0.2:
        image = np.asarray(255 * (image / 255) ** rng.uniform(1.4, 2.4), np.float32)
        image += rng.normal(0, rng.uniform(2, 9), image.shape).astype(np.float32)
    if rng.random() < 0.15:
        spot = np.zeros((height, width), np.float32)
        centre = int(rng.integers(width)), int(rng.integers(height))
        cv2.circle(spot, centre, int(rng.uniform(0.01, 0.05) * width), 1.0, -1)
        wide = rng.uniform(0.02, 0.1) * width
        glow: Floats = np.asarray(cv2.GaussianBlur(spot, (0, 0), wide), np.float32)
        glow *= rng.uniform(90, 255) / max(float(glow.max()), 1e-6)
        image += glow[..., None]
    if rng.random() < 0.12:
        rain = np.zeros((height, width), np.float32)
        lean = rng.uniform(-0.3, 0.3)
        for _ in range(int(rng.integers(60, 260))):
            x, y, long = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(5, 22)
            ends = (int(x), int(y)), (int(x + lean * long), int(y + long))
            cv2.line(rain, *ends, float(rng.uniform(20, 80)), 1, cv2.LINE_AA)
        streaks: Floats = np.asarray(cv2.GaussianBlur(rain, (0, 0), 0.6), np.float32)
        image += streaks[..., None]
    if rng.random() < 0.15:
        length = int(rng.integers(2, 6))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length  # sideways, as cars move
        image = np.asarray(cv2.filter2D(image, -1, kernel), np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)
