"""The image under test, the photos, and the figures that are printed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.figures import Figures
from tests.container.load import Photo, drawn_photos, real_photos

ROOT = Path(__file__).resolve().parents[2]
REAL_PHOTOS = 28


@pytest.fixture(scope="session")
def photos(shared_data: Path) -> list[Photo]:
    """Drawn photos, and real ones where they lie beside the checkout, well mixed."""
    drawn = drawn_photos()
    if not shared_data.is_dir():
        return drawn
    mixed = []
    real = iter(real_photos(shared_data, REAL_PHOTOS))
    for number in range(len(drawn) + REAL_PHOTOS):
        mixed.append(
            drawn[number // 3] if number % 3 == 0 and number // 3 < len(drawn) else next(real)
        )
    return mixed


@pytest.fixture(scope="module")
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    figures = Figures()
    yield figures
    name = request.module.__name__.rpartition(".test_")[2]
    figures.write(ROOT / "build" / f"image-{name}.json", f"measured on the {name} image")
