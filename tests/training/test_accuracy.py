"""The models that are shipped do at least this well on the photos that nothing was trained on."""

from __future__ import annotations

import pytest

from anpr import Recognizer
from anpr.pipeline import make_reader
from anpr.settings import Settings
from training import evaluate, paths
from training.data import UNLABELLED, read_missed, read_photos
from training.reader import dev

pytestmark = [pytest.mark.slow, pytest.mark.shared_data]


def test_the_detector_finds_the_plates_of_val() -> None:
    photos = list(read_photos(paths.shared_data() / "photos.jsonl", ["val"]))
    unlabelled = {name: of.plates for name, of in read_missed(UNLABELLED["val"]).items()}
    figures = evaluate.detection(photos, Settings(), unlabelled)
    everything, night = figures["sources"]["all"], figures["sources"]["robert"]
    assert everything["recall_at_p97"] >= 0.97
    assert everything["map50"] >= 0.985
    assert everything["map50_95"] >= 0.735
    assert night["recall_at_p92"] >= 0.98
    assert figures["served"]["false_per_photo"] <= 0.05
    assert figures["raw"]["recall_at_p95"] >= 0.94


@pytest.mark.parametrize(("split", "exact"), [("e2e", 0.96), ("world", 0.91)])
def test_whole_photos_are_read(split: str, exact: float) -> None:
    photos = read_photos(paths.shared_data() / "photos.jsonl", [split])
    figures = evaluate.end_to_end(photos, Recognizer(Settings()))
    assert figures["text"]["exact"] >= exact


def test_crops_of_plates_are_read() -> None:
    exact = dev.exact(make_reader(Settings()))
    assert exact["us-openalpr-seg"] >= 0.94
    assert exact["br-train-detector"] >= 0.96
    assert exact["ar-ankandrew"] >= 0.94
    assert exact[dev.CHECKED_NAME] >= 0.94
