"""A sheet of drawn plates, to look at: ``python -m training.synthesis --out sheet.png``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from training.synthesis import draw, sample
from training.synthesis.plate import Pixels, Plate

_CELL: tuple[int, int] = (232, 132)


def sheet(plates: Sequence[Plate], columns: int) -> Pixels:
    """A contact sheet, every plate with its text and its size; uint8 BGR."""
    width, height = _CELL
    cells = []
    for plate in plates:
        tall, wide = plate.image.shape[:2]
        scale = min((height - 20) / tall, (width - 4) / wide)
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
        small = cv2.resize(plate.image, None, fx=scale, fy=scale, interpolation=way)
        cell = np.full((height, width, 3), 40, np.uint8)
        cell[: small.shape[0], : small.shape[1]] = small
        text = f"{' '.join(plate.lines)} {plate.country} {wide}x{tall}"
        cv2.putText(cell, text, (2, height - 5), 0, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
        cells.append(cell)
    while len(cells) % columns:
        cells.append(np.zeros_like(cells[0]))
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    return np.asarray(np.vstack(rows), np.uint8)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.synthesis", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the first plate")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--country", help="two letters; every country where not given")
    parser.add_argument("--flat", action="store_true", help="as drawn, before the camera")
    parser.add_argument("--own-faces", action="store_true", help="without the system's fonts")
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    options = parser.parse_args(arguments)
    seeds = range(options.seed, options.seed + options.count)
    start = time.perf_counter()
    if options.flat:
        plates = [
            draw(np.random.default_rng(s), options.country, own_faces=options.own_faces)
            for s in seeds
        ]
    else:
        plates = [sample(s, options.country, own_faces=options.own_faces) for s in seeds]
    each_ms = (time.perf_counter() - start) * 1000 / max(1, len(plates))
    cv2.imwrite(str(options.out), sheet(plates, options.columns))
    print(f"{options.out}: {len(plates)} plates, {each_ms:.1f} ms each")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
