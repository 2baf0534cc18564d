"""The reference image, Ultralytics and PaddleOCR, with the same requests in the same 1 GiB.

Its peak has no limit but the container's: the figures say what it needs. Plates are held to what
was drawn, with the plates of photos without a known text left to the reference tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.container.containers import image_tag, inspect_image, running
from tests.container.load import BUSY_SHARE, REQUESTS, Photo, under_load

if TYPE_CHECKING:
    from tests.container.figures import Figures

pytestmark = [pytest.mark.container, pytest.mark.reference]

START_S = 60


def test_the_same_300_photos(photos: list[Photo], figures: Figures) -> None:
    image = f"{image_tag()}-reference"
    figures.add("image", inspect_image(image)["Size"] / 1e6, "MB")
    # PaddleOCR wants folders of its own for its models
    with running("--tmpfs", "/tmp", image=image) as container:  # noqa: S108
        figures.add("start to ready", container.wait_for("/readyz", START_S), "s", START_S)
        names = container.request("GET", "/health").json["models"]["names"]
        result = under_load(container, photos, figures)
    outcome = result.outcome
    assert names["detector"].startswith("last@")
    assert not result.oom_killed
    assert outcome.failures == []
    assert len(outcome.answers) == REQUESTS
    assert outcome.busy_share <= BUSY_SHARE
    wrong = {a.photo.name for a in outcome.answers if not set(a.photo.texts or ()) <= set(a.texts)}
    assert wrong == set()
