"""From a list of photos to what Ultralytics trains on, with photos that the test makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from training import data, paths


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    """Five photos of three splits; one of them lacks its end."""
    source = tmp_path / "source"
    photo = np.full((50, 100, 3), 90, np.uint8)
    _, encoded = cv2.imencode(".jpg", photo)
    rows: list[dict[str, Any]] = []
    for split, name, boxes in [
        ("train", "a.jpg", [[10, 10, 30, 20]]),
        ("train", "b.jpg", [[-10, 40, 30, 60], [99.5, 0, 120, 10]]),
        ("train", "cut.jpg", []),
        ("val", "a.jpg", [[0, 0, 100, 50]]),
        ("world", "w.jpg", [[1, 1, 9, 9]]),
    ]:
        file = source / "photos" / split / name
        file.parent.mkdir(parents=True, exist_ok=True)
        content = encoded.tobytes()
        file.write_bytes(content[:-2] if name == "cut.jpg" else content)
        row = {"file": f"photos/{split}/{name}", "split": split, "source": "drawn"}
        rows.append({**row, "width": 100, "height": 50, "boxes": boxes, "texts": ["AB1"]})
    path = source / "photos.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + "\n", encoding="utf-8")
    return path


def test_photos_are_read_with_their_fields(listing: Path) -> None:
    first, *_ = data.read_photos(listing)
    assert first.path == listing.parent / "photos/train/a.jpg"
    assert (first.split, first.source, first.width, first.height) == ("train", "drawn", 100, 50)
    assert first.boxes == ((10, 10, 30, 20),)
    assert first.texts == ("AB1",)


def test_only_the_wanted_split_is_read(listing: Path) -> None:
    assert [photo.path.name for photo in data.read_photos(listing, ["world"])] == ["w.jpg"]


def test_label_is_centre_and_size_as_shares(listing: Path) -> None:
    first, *_ = data.read_photos(listing)
    assert data.yolo_lines(first) == ["0 0.200000 0.300000 0.200000 0.200000"]


def test_box_is_clipped_to_the_photo_and_dropped_under_a_pixel(listing: Path) -> None:
    second = list(data.read_photos(listing))[1]
    assert data.yolo_lines(second) == ["0 0.150000 0.900000 0.300000 0.200000"]


def test_only_train_and_val_are_built(listing: Path, tmp_path: Path) -> None:
    data_yaml = data.build(listing, tmp_path / "out")
    built = sorted(str(p.relative_to(tmp_path / "out")) for p in tmp_path.glob("out/*/*/*"))
    assert built == [
        "images/train/a.jpg",
        "images/train/b.jpg",
        "images/train/cut.jpg",
        "images/val/a.jpg",
        "labels/train/a.txt",
        "labels/train/b.txt",
        "labels/train/cut.txt",
        "labels/val/a.txt",
    ]
    assert data_yaml.read_text(encoding="utf-8").splitlines() == [
        f'path: "{tmp_path / "out"}"',
        "train: images/train",
        "val: images/val",
        "names:",
        "  0: plate",
    ]


def test_whole_photo_is_linked_and_a_cut_one_copied(listing: Path, tmp_path: Path) -> None:
    data.build(listing, tmp_path / "out")
    images = tmp_path / "out/images/train"
    assert (images / "a.jpg").resolve() == (listing.parent / "photos/train/a.jpg").resolve()
    assert not (images / "cut.jpg").is_symlink()
    assert (images / "cut.jpg").is_file()


def test_what_the_annotation_missed_is_added_or_painted_over(listing: Path, tmp_path: Path) -> None:
    missed = tmp_path / "missed.jsonl"
    rows = [
        {"file": "photos/train/a.jpg", "plates": [[50, 10, 70, 20]], "unsure": [[0, 30, 20, 45]]},
        {"file": "photos/train/b.jpg", "unsure": []},
    ]
    missed.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    out = tmp_path / "out"
    for _ in range(2):  # a second time over what the first one left
        data.build(listing, out, data.read_missed(missed))
    photos = {photo.path.name: photo for photo in data.read_yolo(out / "data.yaml", "train")}
    assert list(photos["a.jpg"].boxes[1]) == pytest.approx([50, 10, 70, 20])
    painted = cv2.imread(str(out / "images/train/a.jpg"))
    assert painted is not None
    assert painted[35:40, 5:15].mean() == pytest.approx(data.GREY[0], abs=1)
    assert painted[5, 5].tolist() == pytest.approx([90] * 3, abs=1)
    original = cv2.imread(str(listing.parent / "photos/train/a.jpg"))
    assert original is not None
    assert original[35:40, 5:15].mean() == pytest.approx(90, abs=1)
    assert (out / "images/train/b.jpg").is_symlink()
    assert len(data.read_yolo(out / "data.yaml", "val")[0].boxes) == 1

    data.build(listing, out)
    assert (out / "images/train/a.jpg").is_symlink()


def test_lists_of_unlabelled_plates_are_read() -> None:
    lists = {split: data.read_missed(file) for split, file in data.UNLABELLED.items()}
    assert all(name.startswith("train/") for name in lists["train"])
    assert all(name.split("/")[0] in {"val", "e2e", "world"} for name in lists["val"])
    assert all(found.plates or found.unsure for each in lists.values() for found in each.values())


def test_second_build_changes_nothing(listing: Path, tmp_path: Path) -> None:
    data.build(listing, tmp_path / "out")
    files = list(tmp_path.glob("out/**/*"))
    before = {file: file.lstat().st_mtime_ns for file in files}
    data.build(listing, tmp_path / "out")
    assert {file: file.lstat().st_mtime_ns for file in tmp_path.glob("out/**/*")} == before


def test_data_set_in_yolo_format_is_read_back(listing: Path, tmp_path: Path) -> None:
    photos = data.read_yolo(data.build(listing, tmp_path / "out"), "train")
    assert [photo.path.name for photo in photos] == ["a.jpg", "b.jpg", "cut.jpg"]
    assert [(photo.width, photo.height) for photo in photos] == [(100, 50)] * 3
    assert list(photos[0].boxes[0]) == pytest.approx([10, 10, 30, 20])
    assert photos[2].boxes == ()


def test_data_set_without_its_folder_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    file.write_text("train: images/train\n", encoding="utf-8")
    with pytest.raises(FileNotFoundError):
        data.read_yolo(file, "train")


def test_scenes_are_trained_on_beside_the_photos(listing: Path, tmp_path: Path) -> None:
    data_yaml = data.build(listing, tmp_path / "out", scenes=True)
    assert "train: [images/train, images/scenes]" in data_yaml.read_text(encoding="utf-8")
    assert len(data.read_yolo(data_yaml, "train")) == 3  # the first folder


def test_photo_that_left_the_list_leaves_the_data_set(listing: Path, tmp_path: Path) -> None:
    data.build(listing, tmp_path / "out")
    lines = listing.read_text(encoding="utf-8").splitlines(keepends=True)
    listing.write_text("".join(lines[1:]), encoding="utf-8")
    data.build(listing, tmp_path / "out")
    assert not (tmp_path / "out/images/train/a.jpg").is_symlink()
    assert not (tmp_path / "out/labels/train/a.txt").exists()


def test_missing_photo_is_an_error(listing: Path, tmp_path: Path) -> None:
    (listing.parent / "photos/val/a.jpg").unlink()
    with pytest.raises(FileNotFoundError):
        data.build(listing, tmp_path / "out")


def test_empty_split_is_an_error(listing: Path, tmp_path: Path) -> None:
    lines = listing.read_text(encoding="utf-8").splitlines(keepends=True)
    listing.write_text("".join(lines[:3]), encoding="utf-8")
    with pytest.raises(ValueError, match="no photo of the split val"):
        data.build(listing, tmp_path / "out")


def test_two_photos_of_one_name_are_an_error(listing: Path, tmp_path: Path) -> None:
    text = listing.read_text(encoding="utf-8")
    listing.write_text(text + text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"called a\.jpg"):
        data.build(listing, tmp_path / "out")


def test_command_tells_what_it_built(
    listing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert data.main(["--photos", str(listing), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.endswith("3 train, 1 val\n")


def test_shared_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANPR_SHARED", str(tmp_path))
    assert paths.shared_data() == tmp_path / "data"
    monkeypatch.delenv("ANPR_SHARED")
    assert paths.shared() == paths.REPO.parent / "shared"


@pytest.mark.shared_data
def test_no_photo_that_is_measured_on_is_trained_on() -> None:
    listing = paths.shared_data() / "photos.jsonl"
    if not listing.is_file():
        pytest.skip(f"the photos are missing: {listing}")
    names: dict[str, set[str]] = {}
    for photo in data.read_photos(listing):
        names.setdefault(photo.split, set()).add(photo.path.name)
    assert len(names["train"]) > 4000
    for split in ("val", "e2e", "world"):
        assert not names["train"] & names[split]
    assert not {"e2e", "world"} & set(data.SPLITS)
