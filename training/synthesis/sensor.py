"""How light, optics and a camera's electronics change a picture: float32 BGR, 0 to 255."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from training.synthesis.plate import Pixels, Points

Floats = npt.NDArray[np.float32]


def uneven_light(image: Floats, rng: np.random.Generator) -> Floats:
    """Brighter on one side; sometimes a shadow's edge across, or a bright spot."""
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y / height - 0.5, x / width - 0.5
    angle = float(rng.uniform(0, 2 * np.pi))
    along = x * np.cos(angle) + y * np.sin(angle)
    light = 1 + along * float(rng.uniform(0, 0.6))
    if rng.random() < 0.25:
        light *= _shadow(x, y, rng)
    lit = image * light[:, :, None]
    if rng.random() < 0.1:  # a reflection
        centre, size = rng.uniform(-0.5, 0.5, 2), float(rng.uniform(0.05, 0.3))
        spot = np.exp(-(((x - centre[0]) / size) ** 2 + ((y - centre[1]) / size) ** 2))
        lit = lit + (spot * float(rng.uniform(20, 110)))[:, :, None]
    return np.asarray(lit, np.float32)


def lamps(image: Floats, rows: Points, rng: np.random.Generator) -> Floats:
    """The glow of one or two lamps above the plate, which dazzles the camera at night."""
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    low, high = rows.reshape(-1, 2).min(0), rows.reshape(-1, 2).max(0)
    tall = float(high[1] - low[1])
    glow = np.zeros((height, width), np.float32)
    for share in (0.3, 0.7) if rng.random() < 0.6 else (0.5,):
        centre = low[0] + (high[0] - low[0]) * share, low[1] - tall * float(rng.uniform(0.2, 0.5))
        spread = tall * float(rng.uniform(0.15, 0.4))
        glow += np.exp(-(((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / spread**2))
    return np.asarray(image * np.float32(0.6) + (glow * 260)[:, :, None], np.float32)


def _shadow(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    """What light is left: most often a bumper's shadow from above, else any edge, or a bar's."""
    angle = float(rng.normal(np.pi / 2, 0.15) if rng.random() < 0.5 else rng.uniform(0, 2 * np.pi))
    along = x * np.cos(angle) + y * np.sin(angle)
    edge, soft = float(rng.uniform(-0.35, 0.35)), float(rng.uniform(0.01, 0.12))
    dark = 1 / (1 + np.exp(np.clip((along - edge) / soft, -30, 30)))
    if rng.random() < 0.3:  # a bar: dark between two edges
        dark = dark / (1 + np.exp(np.clip((edge - rng.uniform(0.1, 0.4) - along) / soft, -30, 30)))
    return np.asarray(1 - float(rng.uniform(0.2, 0.65)) * dark, np.float32)


def tone(image: Floats, rng: np.random.Generator) -> Floats:
    """Exposure, contrast and the colour of the light; grey as from infra-red now and then."""
    kind = float(rng.random())
    if kind < 0.12:
        grey = image @ np.array([0.2, 0.4, 0.4], np.float32)
        image = np.repeat(grey[:, :, None], 3, 2)
    elif kind < 0.6:  # the light's temperature, and what the white balance makes of it
        warm, green = float(rng.normal(0, 0.1)), float(rng.normal(0, 0.04))
        image = image * np.array([1 - warm, 1 + green, 1 + warm], np.float32)
    elif kind < 0.64:  # sodium light, a sign's green, a dusk's blue
        image = image * rng.uniform(0.4, 1.15, 3).astype(np.float32)
    gain = float(np.exp(rng.normal(-0.15, 0.3)))
    lift = float(rng.uniform(0, 40)) if rng.random() < 0.4 else 0.0
    image = image * gain * (1 - lift / 255) + lift
    if rng.random() < 0.3:
        power = float(rng.uniform(0.7, 1.5))
        image = np.float32(255) * (np.clip(image, 0, 255) / np.float32(255)) ** np.float32(power)
    return np.asarray(image, np.float32)


def blur(image: Floats, rng: np.random.Generator, cap_px: float) -> Floats:
    """Defocus, motion or both, bounded by the height of the characters."""
    kind = float(rng.random())
    if kind < 0.55:
        sigma = cap_px * 0.1 * float(rng.beta(1.2, 3))
        if sigma > 0.25:
            image = _soft(image, sigma)
    elif kind < 0.75:
        length = cap_px * float(rng.uniform(0.05, 0.22))
        if length > 1:
            kernel = _motion(length, float(rng.uniform(0, np.pi)))
            image = np.asarray(cv2.filter2D(image, -1, kernel), np.float32)
        image = _soft(image, max(0.3, cap_px * 0.02))
    return image


def _soft(image: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def _motion(length: float, angle: float) -> Floats:
    size = int(np.ceil(length)) | 1
    size = max(3, size)
    kernel = np.zeros((size, size), np.float32)
    middle = size / 2
    dx, dy = np.cos(angle) * length / 2, np.sin(angle) * length / 2
    start = round(16 * (middle - 0.5 - dx)), round(16 * (middle - 0.5 - dy))
    end = round(16 * (middle - 0.5 + dx)), round(16 * (middle - 0.5 + dy))
    cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_AA, 4)
    total = float(kernel.sum())
    if total <= 0:
        kernel[size // 2, size // 2] = total = 1.0
    return np.asarray(kernel / total, np.float32)


def noise(image: Floats, rng: np.random.Generator, most: float) -> Floats:
    """Grain of at most this deviation, in grey or in colour, fine or coarse."""
    sigma = most * float(rng.beta(1, 3))
    if sigma < 0.5:
        return image
    height, width = image.shape[:2]
    grain = rng.standard_normal((height, width), np.float32) * sigma
    if rng.random() < 0.4:
        grain = cv2.GaussianBlur(grain, (0, 0), 0.7) * 1.7
    image = image + grain[:, :, None]
    if rng.random() < 0.4:  # colour noise is smeared by every camera
        colours = rng.standard_normal((height // 2 + 1, width // 2 + 1, 3), np.float32)
        image += cv2.resize(colours * (sigma * 0.6), (width, height))
    return np.asarray(image, np.float32)


def sharpen(image: Floats, rng: np.random.Generator) -> Floats:
    """Halos as cameras and web pages add them."""
    soft = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.6, 1.4)))
    return np.asarray(image + (image - soft) * float(rng.uniform(0.3, 1.5)), np.float32)


def to_bytes(image: Floats) -> Pixels:
    return np.clip(image, 0, 255).astype(np.uint8)


def jpeg(image: Pixels, quality: int) -> Pixels:
    """Encoded and decoded again."""
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
