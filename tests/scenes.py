"""Pictures that the tests draw: number plates, and cars that carry them.

Everything is made of rectangles, ellipses and the typeface inside Pillow, so that no photo and no
font is needed. The same arguments give the same pixels.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from anpr.types import Box

if TYPE_CHECKING:
    from anpr.types import Image as Pixels

PLATE_TEXT = "RK069AV"


def draw_plate(
    *lines: str, height: int = 110, ratio: float | None = None, place: str = ""
) -> Image.Image:
    """A white plate with black characters in one or two lines, a ``place`` name small below."""
    lines = lines or (PLATE_TEXT,)
    ratio = ratio or (4.7 if len(lines) == 1 and not place else 1.6)
    width = round(height * ratio)
    plate = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(plate)
    pen.rounded_rectangle(
        (1, 1, width - 2, height - 2), radius=height // 12, outline="black", width=height // 30 or 1
    )
    room = height * (0.62 if place else 0.84)
    line_height = room / len(lines)
    for number, text in enumerate(lines):
        font = ImageFont.load_default(line_height * 1.02)
        length = font.getlength(text)
        if length > width * 0.88:
            font = ImageFont.load_default(line_height * 1.02 * width * 0.88 / length)
        middle = height * 0.08 + line_height * (number + 0.5)
        pen.text((width / 2, middle), text, "black", font, anchor="mm", stroke_width=height // 60)
    if place:
        font = ImageFont.load_default(height * 0.15)
        pen.text((width / 2, height * 0.84), place, "black", font, anchor="mm")
    return plate


def plate_pixels(*lines: str, height: int = 60, place: str = "", slant_deg: float = 0) -> Pixels:
    """A plate crop as a BGR array, grey bodywork around it."""
    plate = draw_plate(*lines, height=height, place=place)
    canvas = Image.new("RGB", (plate.width + height // 3, plate.height + height // 3), "#565a60")
    canvas.paste(plate, (height // 6, height // 6))
    if slant_deg:
        slope = float(np.tan(np.radians(slant_deg)))
        fall = slope * canvas.width
        tall = Image.new("RGB", (canvas.width, canvas.height + round(abs(fall))), "#565a60")
        tall.paste(canvas, (0, round(max(0.0, -fall) + max(0.0, fall)) // 2))
        canvas = tall.transform(
            tall.size,
            Image.Transform.AFFINE,
            (1, 0, 0, -slope, 1, slope * tall.width / 2),
            Image.Resampling.BILINEAR,
        )
    return to_bgr(canvas)


def draw_car(plate: Image.Image, size: tuple[int, int] = (1280, 720)) -> tuple[Image.Image, Box]:
    """The back of a car on a road, and where its plate is."""
    width, height = size
    scene = Image.new("RGB", size, "#9fb4c8")
    pen = ImageDraw.Draw(scene)
    pen.rectangle((0, height * 0.45, width, height), fill="#5d5d5f")
    pen.rectangle((0, height * 0.36, width, height * 0.46), fill="#6e7f62")
    car_w, car_h = height * 0.95, height * 0.72
    left, top = (width - car_w) / 2, height * 0.2

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x * car_w, top + y * car_h

    pen.ellipse((*at(0.02, 0.93), *at(0.98, 1.06)), fill="#3a3a3c")
    for x in (0.07, 0.79):
        pen.rounded_rectangle((*at(x, 0.78), *at(x + 0.14, 1.02)), radius=14, fill="#161616")
    pen.polygon([at(0.2, 0.05), at(0.8, 0.05), at(0.93, 0.42), at(0.07, 0.42)], fill="#23303a")
    pen.polygon([at(0.24, 0.08), at(0.76, 0.08), at(0.85, 0.38), at(0.15, 0.38)], fill="#5a6d7c")
    pen.rounded_rectangle((*at(0.02, 0.38), *at(0.98, 0.9)), radius=36, fill="#8d1f24")
    pen.rounded_rectangle((*at(0.0, 0.74), *at(1.0, 0.95)), radius=24, fill="#2b2c2e")
    for x in (0.04, 0.82):
        pen.rounded_rectangle((*at(x, 0.46), *at(x + 0.14, 0.58)), radius=10, fill="#d2372c")
    plate = plate.resize((round(car_w * 0.3), round(car_w * 0.3 * plate.height / plate.width)))
    x, y = left + car_w * 0.5 - plate.width / 2, top + car_h * 0.66 - plate.height / 2
    pen.rectangle((x - 12, y - 10, x + plate.width + 12, y + plate.height + 10), fill="#5f1518")
    scene.paste(plate, (round(x), round(y)))
    grain = np.random.default_rng(7).normal(0, 3, (height, width, 1))
    noisy = np.clip(np.asarray(scene, np.float32) + grain, 0, 255).astype(np.uint8)
    box = Box(round(x), round(y), round(x) + plate.width, round(y) + plate.height)
    return Image.fromarray(noisy).filter(ImageFilter.GaussianBlur(0.7)), box


def car_photo(
    *lines: str, size: tuple[int, int] = (1280, 720), format: str = "JPEG", **options: object
) -> bytes:
    """The bytes of a photo of a car with this plate."""
    return encode(draw_car(draw_plate(*lines), size)[0], format, **options)


def encode(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def to_bgr(image: Image.Image) -> Pixels:
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


if __name__ == "__main__":  # python -m tests.scenes docs/car.jpg: the picture in the README
    Path(sys.argv[1]).write_bytes(car_photo(*sys.argv[2:], quality=88))
