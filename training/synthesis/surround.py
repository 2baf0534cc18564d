"""What is on and around a plate on a car: screws, dirt, a frame, the bodywork behind."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from training.synthesis import fonts, parts
from training.synthesis.plate import Pixels, Plate

Floats = npt.NDArray[np.float32]
_DEALERS: Final = (
    "AUTOHAUS MEIER",
    "www.autocentrum.cz",
    "CITY MOTORS",
    "GRAND HONDA",
    "RED BANK VOLVO",
    "SUNSET FORD",
    "AUTO PALACE 02 555 0199",
    "BMW NORTHFIELD",
    "TOYOTA OF DALLAS",
    "VALLEY CHEVROLET",
    "ALUMNI",
    "MY OTHER CAR",
    "H&K SERVICE",
    "Premium Cars",
    "JAMES KIA 1998",
)


def screws(image: Pixels, plate: Plate, rng: np.random.Generator) -> None:
    """Screw heads, bolts and their caps, mostly beside the characters, where holes are."""
    height, width = image.shape[:2]
    radius = max(1, round(height * float(rng.uniform(0.018, 0.05))))
    ys = (
        [height * float(rng.uniform(0.06, 0.14)), height * float(rng.uniform(0.86, 0.94))]
        if rng.random() < 0.5
        else [height * 0.5]
    )
    xs = [float(rng.uniform(0.02, 0.3)) * width]
    xs.append(width - xs[0])
    shade = float(rng.choice([30.0, 60.0, 150.0, 235.0]))
    left, right = plate.rows[:, 0, 0].min(), plate.rows[:, 1, 0].max()
    for y in ys:
        for x in xs:
            inside = left - radius < x < right + radius
            low, high = plate.rows[:, 0, 1].min(), plate.rows[:, 2, 1].max()
            if inside and low - radius < y < high + radius and rng.random() < 0.85:
                continue
            tint = tuple(float(np.clip(shade + rng.normal(0, 12), 0, 255)) for _ in range(3))
            place = (round(x), round(y))
            cv2.circle(image, place, radius, tint, -1, cv2.LINE_AA)
            if radius > 2:
                rim = tuple(max(0.0, one - 60) for one in tint)
                cv2.circle(image, place, radius, rim, 1, cv2.LINE_AA)


def dirt(image: Pixels, rng: np.random.Generator) -> None:
    """Mud and dust: cloudy, denser towards one edge, of an earthy colour."""
    height, width = image.shape[:2]
    coarse = rng.random((int(rng.integers(3, 9)), int(rng.integers(4, 16)))).astype(np.float32)
    cloud = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    cloud = cloud * np.linspace(0.5, 1.2, height, dtype=np.float32)[:, None]
    alpha = np.clip((cloud - float(rng.uniform(0.3, 0.7))) * 1.6, 0, float(rng.uniform(0.2, 0.55)))
    shade = np.array([60, 85, 105], np.float32) * float(rng.uniform(0.5, 1.5))
    blended = image + alpha[:, :, None] * (np.minimum(shade, 255) - image)
    image[:] = np.clip(blended, 0, 255).astype(np.uint8)


def drops(image: Pixels, rng: np.random.Generator) -> None:
    """Rain on the lens or the plate: small bright and dark blots that hide no character."""
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(4, 30))):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        radius = max(1, round(height * float(rng.uniform(0.008, 0.035))))
        x1, y1 = max(0, x - radius), max(0, y - radius)
        spot = image[y1 : y + radius, x1 : x + radius]
        spot[:] = cv2.blur(spot, (2 * radius + 1, 2 * radius + 1))
        light = float(rng.uniform(90, 255))
        cv2.circle(image, (x, y - radius // 2), max(1, radius // 2), (light,) * 3, -1, cv2.LINE_AA)


def tow_ball(image: Pixels, plate: Plate, rng: np.random.Generator) -> None:
    """A ball or a bracket from below, at most over the characters' feet."""
    bottom = float(plate.rows[-1, 2, 1])
    tall = bottom - float(plate.rows[-1, 1, 1])
    x = round(float(rng.uniform(0.3, 0.7)) * image.shape[1])
    half = max(2, round(tall * float(rng.uniform(0.1, 0.3))))
    top = round(bottom - tall * float(rng.uniform(0, 0.16)))
    shade = (float(rng.uniform(5, 120)),) * 3
    cv2.circle(image, (x, top + half), half, shade, -1, cv2.LINE_AA)
    cv2.rectangle(image, (x - half // 2, top + half), (x + half // 2, image.shape[0]), shade, -1)


def mount(
    image: Pixels, rng: np.random.Generator, own_faces: bool = False
) -> tuple[Pixels, Pixels, tuple[int, int]]:
    """The plate in a frame or none, its mask (corners rounded), and where its corner now is."""
    height, width = image.shape[:2]
    kind = float(rng.random())
    if kind < 0.4:
        pads = (0, 0, 0, 0)
    elif kind < 0.75:
        pads = (round(height * float(rng.uniform(0.02, 0.09))),) * 4
    else:  # a holder with the dealer's name
        side = round(height * float(rng.uniform(0.02, 0.07)))
        name = round(height * float(rng.uniform(0.1, 0.2)))
        pads = (side, name, side, side) if rng.random() < 0.75 else (name, side, side, side)
    top, bottom, left, right = pads
    dark = rng.random() < 0.75
    shade = rng.uniform(5, 60) if dark else rng.uniform(120, 230)
    tint = tuple(float(np.clip(shade + rng.normal(0, 6), 0, 255)) for _ in range(3))
    framed = np.empty((height + top + bottom, width + left + right, 3), np.uint8)
    framed[:] = tint
    framed[top : top + height, left : left + width] = image
    band = (top + height, top + height + bottom) if bottom >= top else (0, top)
    if abs(bottom - top) > 4 and rng.random() < 0.85:
        text = parts.pick(rng, _DEALERS)
        margin = max(1, (band[1] - band[0]) // 5)
        half = round(width * float(rng.uniform(0.15, 0.45)))
        middle = left + width // 2
        box = (middle - half, band[0] + margin, middle + half, band[1] - margin)
        ink = (235, 235, 235) if dark else (25, 25, 25)
        parts.stamp(framed, fonts.words(text, parts.face_of(rng, "sans", own_faces)), box, ink)
    mask = np.full(framed.shape[:2], 255, np.uint8)
    radius = round(height * float(rng.uniform(0, 0.1)))
    if radius > 1:
        mask[:] = 0
        tall, wide = mask.shape
        cv2.rectangle(mask, (radius, 0), (wide - 1 - radius, tall - 1), 255, -1)
        cv2.rectangle(mask, (0, radius), (wide - 1, tall - 1 - radius), 255, -1)
        for x in (radius, wide - 1 - radius):
            for y in (radius, tall - 1 - radius):
                cv2.circle(mask, (x, y), radius, 255, -1, cv2.LINE_AA)
    return framed, mask, (left, top)


def bodywork(width: int, height: int, rng: np.random.Generator) -> Floats:
    """What is behind a plate: a run of paint, bands and lines of a bumper or a grille; BGR."""
    base = rng.uniform(8, 230) if rng.random() < 0.6 else rng.uniform(8, 70)
    tint = base + rng.normal(0, 8, 3) + rng.normal(0, 1, 3) * (38 if rng.random() < 0.3 else 3)
    ramp = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * float(rng.normal(0, 22))
    across = np.linspace(-1, 1, width, dtype=np.float32)[None] * float(rng.normal(0, 12))
    image = np.empty((height, width, 3), np.float32)
    image[:] = tint
    image += (ramp + across)[:, :, None]
    slope = float(rng.normal(0, 0.08))
    for _ in range(int(rng.integers(0, 5))):
        y = float(rng.uniform(-0.1, 1.1)) * height
        thick = max(1, round(height * float(rng.choice([0.02, 0.05, 0.15, 0.3]))))
        shade = np.clip(tint + rng.normal(0, 45), 0, 255)
        start, end = (0, round(y)), (width, round(y + slope * width))
        cv2.line(image, start, end, tuple(float(one) for one in shade), thick, cv2.LINE_AA)
    kind = float(rng.random())
    if kind < 0.12:  # a grille
        step = max(3, round(height * float(rng.uniform(0.05, 0.14))))
        dark = float(rng.uniform(0, 90))
        for y in range(int(rng.integers(step)), height, step):
            cv2.line(image, (0, y), (width, y), (dark,) * 3, max(1, step // 3))
        if rng.random() < 0.4:
            for x in range(int(rng.integers(step)), width, step * 2):
                cv2.line(image, (x, 0), (x, height), (dark,) * 3, 1)
    elif kind < 0.27:  # asphalt, leaves, clutter
        coarse = rng.normal(0, 30, (max(2, height // 5), max(2, width // 5)))
        image += cv2.resize(coarse.astype(np.float32), (width, height))[:, :, None]
    return image
