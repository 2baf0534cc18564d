"""Scenes made from a photo that the test draws: a grey car with a white plate."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training import data
from training.data import Photo
from training.detector import scenes

BOX = (120.0, 150.0, 200.0, 170.0)


@pytest.fixture
def photo(tmp_path: Path) -> Photo:
    pixels = np.full((240, 320, 3), 120, np.uint8)
    pixels[150:170, 120:200] = 240
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), pixels)
    return Photo(path, "train", "drawn", 320, 240, (BOX,))


def test_same_number_gives_the_same_scene(photo: Photo) -> None:
    first, again = (scenes.scene([photo], 3, own_faces=True) for _ in range(2))
    assert np.array_equal(first[0], again[0])
    assert first[1] == again[1]
    other, _ = scenes.scene([photo], 4, own_faces=True)
    assert not np.array_equal(first[0], other)


def test_new_plate_lies_where_the_old_one_was_and_has_its_own_box(photo: Photo) -> None:
    boxes = [scenes.scene([photo], number, own_faces=True)[1].boxes for number in range(20)]
    assert all(len(found) == 1 for found in boxes)
    for ((x1, y1, x2, y2),) in boxes:
        assert (x1 + x2) / 2 == pytest.approx(160, abs=6)
        assert (y1 + y2) / 2 == pytest.approx(160, abs=6)
        assert 0.3 * 80 < x2 - x1 < 1.3 * 80
    assert sum(found[0] != BOX for found in boxes) >= 10


def test_photo_is_left_as_it_is_and_a_narrow_plate_too(photo: Photo, tmp_path: Path) -> None:
    before = photo.path.read_bytes()
    narrow = Photo(photo.path, "train", "drawn", 320, 240, ((10.0, 10.0, 18.0, 13.0),))
    assert scenes.scene([narrow], 0, own_faces=True)[1].boxes == narrow.boxes
    assert photo.path.read_bytes() == before


def test_build_makes_what_is_missing_and_removes_what_is_too_much(
    photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scenes.scene

    def own_faces(photos: list[Photo], number: int) -> tuple[np.ndarray, Photo]:
        return made(photos, number, own_faces=True)

    monkeypatch.setattr(scenes, "scene", own_faces)
    out = tmp_path / "out"
    scenes.build([photo], out, 3)
    images, labels = out / "images" / data.SCENES, out / "labels" / data.SCENES
    assert len(list(images.iterdir())) == len(list(labels.iterdir())) == 3
    before = (images / "scene-00000.jpg").stat().st_mtime_ns
    scenes.build([photo], out, 2)
    assert sorted(path.name for path in images.iterdir()) == ["scene-00000.jpg", "scene-00001.jpg"]
    assert (images / "scene-00000.jpg").stat().st_mtime_ns == before


def test_missing_photo_is_an_error(photo: Photo, tmp_path: Path) -> None:
    gone = Photo(tmp_path / "none.png", "train", "drawn", 320, 240, (BOX,))
    with pytest.raises(FileNotFoundError):
        scenes.scene([gone], 0, own_faces=True)
