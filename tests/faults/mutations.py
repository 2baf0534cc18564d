"""Images that were damaged on purpose, sent to the service as it comes.

Run as a program, so that a crash is seen as one (``python -m tests.faults.mutations COUNT
[FOLDER]``), it prints how often each status was answered, the slowest answer, and the memory it
took, as JSON.
"""

from __future__ import annotations

import asyncio
import collections
import io
import json
import random
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from PIL import Image

from anpr import memory
from anpr.server.app import create_app
from anpr.settings import Settings
from tests.scenes import car_photo

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
# Where a size stands in a header, and what makes code that trusts it stumble
ODD_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 40_000, 25_000_001)
PHOTOS_FROM_FOLDER = 40

Mutation = Callable[[random.Random, bytearray], None]


WARM_UP = 30


def _held_mib() -> float:
    """Resident memory without what the allocator merely keeps: that depends on the last photo."""
    memory.release()
    return memory.rss_mib()


def flip_bits(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 4, 16, 256))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def flip_in_head(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.randrange(1, 9)):
        data[rng.randrange(min(len(data), 64))] = rng.randrange(256)


def put_odd_number(rng: random.Random, data: bytearray) -> None:
    packed = struct.pack(rng.choice("<>") + "I", rng.choice(ODD_NUMBERS))
    packed = packed[: rng.choice((2, 4))]
    at = rng.randrange(min(len(data), 512))
    data[at : at + len(packed)] = packed


def cut_off(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(1, len(data)) :]


def cut_out(rng: random.Random, data: bytearray) -> None:
    start, end = sorted(rng.randrange(1, len(data)) for _ in range(2))
    del data[start:end]


def repeat(rng: random.Random, data: bytearray) -> None:
    start, end = sorted(rng.randrange(len(data)) for _ in range(2))
    data[start:start] = data[start:end]


def blank(rng: random.Random, data: bytearray) -> None:
    start, end = sorted(rng.randrange(1, len(data)) for _ in range(2))
    data[start:end] = bytes([rng.choice((0, 255))]) * (end - start)


def insert_noise(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(1, len(data))
    data[at:at] = rng.randbytes(rng.choice((1, 3, 64, 5000)))


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    flip_in_head,
    put_odd_number,
    cut_off,
    cut_out,
    repeat,
    blank,
    insert_noise,
)


def sources(folder: Path | None) -> list[bytes]:
    """Whole images: drawn ones, or real ones as they are and in every format, made small."""
    if folder is None:
        originals = [car_photo(size=(640, 360))]
    else:
        files = sorted(file for file in folder.rglob("*") if file.suffix in (".jpg", ".png"))
        originals = [
            file.read_bytes() for file in files[:: max(1, len(files) // PHOTOS_FROM_FOLDER)]
        ]
    images = list(originals)
    for original in originals[:6]:
        with Image.open(io.BytesIO(original)) as photo:
            photo.thumbnail((480, 480))
            for format in FORMATS:
                file = io.BytesIO()
                photo.convert("RGB").save(file, format)
                images.append(file.getvalue())
    return images


def mutated(number: int, images: list[bytes]) -> bytes:
    """The same for the same number and images."""
    rng = random.Random(number)
    data = bytearray(images[number % len(images)])
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        if len(data) > 2:
            rng.choice(MUTATIONS)(rng, data)
    if rng.random() < 0.05:
        data += rng.choice(images)
    return bytes(data)


async def run(count: int, folder: Path | None) -> dict[str, object]:
    images = sources(folder)
    app = create_app(Settings(load="lazy"))
    statuses: collections.Counter[int] = collections.Counter()
    slowest = 0.0
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for image in images:  # everything is loaded, and every image is fine, before the damage
            answer = await client.post("/v1/plates", content=image)
            assert answer.status_code == 200, answer.text
        for number in range(WARM_UP):  # what is allocated once, for good, is there by then
            await client.post("/v1/plates", content=mutated(count + number, images))
        before = _held_mib()
        for number in range(count):
            started = time.perf_counter()
            answer = await client.post("/v1/plates", content=mutated(number, images))
            slowest = max(slowest, time.perf_counter() - started)
            statuses[answer.status_code] += 1
            if answer.status_code >= 500:
                sys.stderr.write(f"number {number}: {answer.text}\n")
    return {
        "images": len(images),
        "statuses": dict(sorted(statuses.items())),
        "slowest_s": round(slowest, 3),
        "rss_mib": [round(before), round(_held_mib())],
        "peak_mib": round(memory.peak_mib()),
    }


if __name__ == "__main__":
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    sys.stdout.write(json.dumps(asyncio.run(run(int(sys.argv[1]), folder))))
