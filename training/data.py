"""From a list of photos with boxes to the data set that Ultralytics trains on.

``photos.jsonl`` has a JSON object a line, of which four fields are read: ``file`` (relative to
the list's folder), ``split``, ``width`` and ``height`` (pixels) and ``boxes`` (``[x1, y1, x2, y2]``
in pixels, origin top left). Only ``train`` is trained on and only ``val`` validates; every other
split (``e2e``, ``world``) is left out.

Written::

    DIR/images/{train,val}/NAME.jpg     a link to the photo
    DIR/labels/{train,val}/NAME.txt     a line a plate: class, centre x, centre y, width, height
    DIR/data.yaml                       what Ultralytics is given

(the numbers of a label are shares of the photo's width and height).

The photos are never written to. Ultralytics mends JPEG files that lack their end marker *in place*,
so such a photo is copied instead of linked. A second call changes nothing that is current.

Command: ``python -m training.data [--photos FILE.jsonl] [--out DIR]``.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training import paths

SPLITS = ("train", "val")
CLASS_NAME = "plate"
JPEG_END = b"\xff\xd9"
IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
SCENES = "scenes"
"""The folder of photos that are put together for training, beside ``train``."""
GREY = (114, 114, 114)
"""What YOLO pads with."""
SIDEWAYS = (5, 6, 7, 8)
"""Values of EXIF orientation that turn a photo on its side."""
UNLABELLED = {
    split: Path(__file__).with_name("detector") / f"unlabelled-{split}.jsonl" for split in SPLITS
}
"""Plates that the annotation of the shared photos leaves out: found by the detector, told by eye.
Those of ``train`` are trained on; those of ``val`` (and ``e2e`` and ``world``) are not counted."""
MIN_SIDE_PX = 1.0
"""A box thinner than a pixel is a slip of the annotation."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One line of the list. ``boxes`` are x1, y1, x2, y2 in pixels of the stored file."""

    path: Path
    split: str
    source: str
    width: int
    height: int
    boxes: tuple[tuple[float, float, float, float], ...]
    texts: tuple[str, ...] = ()


def read_photos(listing: Path, splits: Iterable[str] | None = None) -> Iterator[Photo]:
    """The photos of a list, in its order; only those of ``splits`` where given."""
    wanted = None if splits is None else frozenset(splits)
    with listing.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.strip():
                continue
            row = json.loads(line)
            if wanted is not None and row["split"] not in wanted:
                continue
            yield Photo(
                path=listing.parent / row["file"],
                split=row["split"],
                source=row.get("source", ""),
                width=int(row["width"]),
                height=int(row["height"]),
                boxes=tuple((b[0], b[1], b[2], b[3]) for b in row["boxes"]),
                texts=tuple(row.get("texts") or ()),
            )


def read_yolo(data_yaml: Path, split: str) -> list[Photo]:
    """The photos of a data set in YOLO format, by name; a photo without a label file has no plates.

    ``data.yaml`` names a folder a split (of several the first is read), ``…/images/…``, whose
    labels lie in ``…/labels/…``. Raises ``KeyError`` without the split, and
    ``FileNotFoundError`` without its folder.
    """
    import yaml  # comes with Ultralytics; the rest of this module does without it
    from PIL import ExifTags, Image

    content = yaml.safe_load(data_yaml.read_text(encoding="utf-8"))
    named = content[split]
    first = named[0] if isinstance(named, list) else named
    folder = data_yaml.parent / (content.get("path") or "") / first
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    parts = list(folder.parts)
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    photos = []
    for path in sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGES):
        with Image.open(path) as image:
            width, height = image.size
            if image.getexif().get(ExifTags.Base.Orientation, 1) in SIDEWAYS:
                width, height = height, width
        label = Path(*parts) / f"{path.stem}.txt"
        lines = label.read_text(encoding="utf-8").splitlines() if label.is_file() else []
        boxes = tuple(_pixels(line, width, height) for line in lines if line.strip())
        photos.append(Photo(path, split, "", width, height, boxes))
    return photos


def _pixels(line: str, width: int, height: int) -> tuple[float, float, float, float]:
    _, x, y, w, h = (float(value) for value in line.split())
    return (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height


def yolo_lines(photo: Photo) -> list[str]:
    """The label file's lines: boxes clipped to the photo, those under a pixel left out."""
    lines = []
    for x1, y1, x2, y2 in photo.boxes:
        left, right = max(0.0, x1), min(float(photo.width), x2)
        top, bottom = max(0.0, y1), min(float(photo.height), y2)
        if right - left < MIN_SIDE_PX or bottom - top < MIN_SIDE_PX:
            continue
        centre_x, centre_y = (left + right) / 2 / photo.width, (top + bottom) / 2 / photo.height
        width, height = (right - left) / photo.width, (bottom - top) / photo.height
        lines.append(f"0 {centre_x:.6f} {centre_y:.6f} {width:.6f} {height:.6f}")
    return lines


@dataclass(frozen=True, slots=True)
class Missed:
    """What the annotation of a photo left out, boxes in pixels of the stored file.

    ``plates`` are plates; ``unsure`` are places where nobody can tell, which teach nothing.
    """

    plates: tuple[tuple[float, float, float, float], ...] = ()
    unsure: tuple[tuple[float, float, float, float], ...] = ()


def read_missed(listing: Path) -> dict[str, Missed]:
    """By the photo's ``SPLIT/NAME``, from JSON lines with ``file``, ``plates`` and ``unsure``."""
    with listing.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    return {
        "/".join(Path(row["file"]).parts[-2:]): Missed(
            tuple((b[0], b[1], b[2], b[3]) for b in row.get("plates", ())),
            tuple((b[0], b[1], b[2], b[3]) for b in row.get("unsure", ())),
        )
        for row in rows
    }


def mended(photos: Iterable[Photo], missed: Mapping[str, Missed]) -> list[Photo]:
    """The photos with the plates that their annotation left out."""
    return [
        replace(photo, boxes=photo.boxes + missed[name].plates) if name in missed else photo
        for photo in photos
        for name in [f"{photo.split}/{photo.path.name}"]
    ]


def build(
    listing: Path,
    out: Path,
    missed: Mapping[str, Missed] | None = None,
    *,
    scenes: bool = False,
) -> Path:
    """Bring the data set in ``out`` up to the list, and return its ``data.yaml``.

    ``missed``, by ``SPLIT/NAME``, mends photos: what the annotation left out is added, and what
    nobody can tell is painted over with grey in a copy of the photo. ``scenes``: the folder
    ``images/scenes``, which has to be there, is trained on as well.

    Raises ``FileNotFoundError`` where the list or one of its photos is missing, and ``ValueError``
    where two photos of a split share a name or a split is empty.
    """
    kept: dict[str, set[str]] = {split: set() for split in SPLITS}
    for split in SPLITS:
        (out / "images" / split).mkdir(parents=True, exist_ok=True)
        (out / "labels" / split).mkdir(parents=True, exist_ok=True)
    for photo in read_photos(listing, SPLITS):
        name = photo.path.name
        if name in kept[photo.split]:
            raise ValueError(f"two photos of the split {photo.split} are called {name}")
        kept[photo.split].add(name)
        image = out / "images" / photo.split / name
        left_out = (missed or {}).get(f"{photo.split}/{name}", Missed())
        photo = replace(photo, boxes=photo.boxes + left_out.plates)
        if left_out.unsure:
            _paint(photo.path, image, left_out.unsure)
        else:
            _link(photo.path.resolve(strict=True), image)
        label = (out / "labels" / photo.split / name).with_suffix(".txt")
        _write(label, "".join(f"{line}\n" for line in yolo_lines(photo)))
    for split, names in kept.items():
        if not names:
            raise ValueError(f"{listing} has no photo of the split {split}")
        _remove_others(out / "images" / split, names)
        _remove_others(out / "labels" / split, {f"{Path(name).stem}.txt" for name in names})
    train = f"[images/train, images/{SCENES}]" if scenes else "images/train"
    data_yaml = out / "data.yaml"
    _write(
        data_yaml,
        f"path: {json.dumps(str(out.resolve()))}\n"
        f"train: {train}\nval: images/val\n"
        f"names:\n  0: {CLASS_NAME}\n",
    )
    return data_yaml


def _link(photo: Path, link: Path) -> None:
    whole = photo.suffix.lower() not in {".jpg", ".jpeg"} or _ends_with(photo, JPEG_END)
    if whole:
        if link.is_symlink() and link.readlink() == photo:
            return
        link.unlink(missing_ok=True)
        link.symlink_to(photo)
    elif link.is_symlink() or not link.exists() or link.stat().st_size != photo.stat().st_size:
        link.unlink(missing_ok=True)
        shutil.copyfile(photo, link)


def _paint(photo: Path, copy: Path, boxes: Sequence[tuple[float, float, float, float]]) -> None:
    from PIL import Image, ImageDraw

    with Image.open(photo) as opened:
        image = opened.convert("RGB")
    draw = ImageDraw.Draw(image)
    for box in boxes:
        draw.rectangle(box, fill=GREY)
    painted = io.BytesIO()
    image.save(painted, "JPEG", quality=95)
    if copy.is_symlink() or not copy.exists() or copy.read_bytes() != painted.getvalue():
        copy.unlink(missing_ok=True)  # a link to the photo would be written through
        copy.write_bytes(painted.getvalue())


def _ends_with(path: Path, ending: bytes) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - len(ending)))
        return file.read() == ending


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _remove_others(folder: Path, names: set[str]) -> None:
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.data", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--photos", type=Path, help="the list (default: the shared photos.jsonl)")
    parser.add_argument("--out", type=Path, default=paths.CACHE / "detector")
    options = parser.parse_args(arguments)
    missed = read_missed(UNLABELLED["train"]) if options.photos is None else None
    data_yaml = build(options.photos or paths.shared_data() / "photos.jsonl", options.out, missed)
    counts = {split: len(list((options.out / "images" / split).iterdir())) for split in SPLITS}
    sys.stdout.write(f"{data_yaml}: {counts['train']} train, {counts['val']} val\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
