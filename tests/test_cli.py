from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anpr.cli import main
from tests.scenes import PLATE_TEXT, car_photo, encode


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "car.jpg"
    path.write_bytes(car_photo())
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_photo_as_text(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("read", photo) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{photo}: {PLATE_TEXT} ")
    assert out.count("\n") == 1


def test_a_photo_as_json_lines(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("read", photo, "--format", "jsonl", "--top-n", 3) == 0
    record = json.loads(capsys.readouterr().out)
    assert next(iter(record)) == "source"
    assert record["plates"][0]["text"] == PLATE_TEXT
    assert len(record["plates"][0]["candidates"]) == 3
    assert set(record) == {"source", "image", "plates", "timings_ms", "memory_mib", "models"}


def test_regions_name_the_candidates_that_fit(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("read", photo, "--format", "jsonl", "--regions", "sk,br") == 0
    (plate,) = json.loads(capsys.readouterr().out)["plates"]
    assert plate["region"] == {"code": "sk", "confidence": 1.0}
    assert plate["candidates"][0]["region"] == "sk"


def test_several_photos_as_json_are_one_array(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("read", photo, photo, "--format", "json") == 0
    assert [r["plates"][0]["text"] for r in json.loads(capsys.readouterr().out)] == [PLATE_TEXT] * 2


def test_an_empty_array_is_still_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("read", tmp_path, "--format", "json") == 1
    (record,) = json.loads(capsys.readouterr().out)
    assert record["error"]["status"] == 422


def test_csv_has_a_row_for_every_plate_and_every_failure(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    road = tmp_path / "road.png"
    road.write_bytes(encode(Image.new("RGB", (320, 240), "grey"), "PNG"))
    assert run("read", photo, road, tmp_path / "none.jpg", "--format", "csv") == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["text"] for row in rows] == [PLATE_TEXT, "", ""]
    assert [bool(row["error"]) for row in rows] == [False, False, True]


def bad_files(folder: Path) -> dict[str, bytes]:
    good = car_photo()
    png_header = encode(Image.new("RGB", (8, 8)), "PNG")[:16]
    return {
        "empty.jpg": b"",
        "text.jpg": b"I am no picture.\n",
        "truncated.jpg": good[: len(good) // 2],
        "tiny.png": encode(Image.new("RGB", (1, 1)), "PNG"),
        "huge.png": png_header + (40_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + b"\0" * 30,
    }


def test_bad_files_are_told_apart_and_the_others_still_read(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = bad_files(tmp_path)
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    paths = [tmp_path / name for name in bad]
    assert run("read", *paths, tmp_path / "missing.jpg", photo, "--format", "jsonl") == 1
    captured = capsys.readouterr()
    records = [json.loads(line) for line in captured.out.splitlines()]
    statuses = [record.get("error", {}).get("status") for record in records]
    assert statuses == [400, 415, 422, 422, 422, 404, None]
    assert records[-1]["plates"][0]["text"] == PLATE_TEXT
    complaints = captured.err.splitlines()
    assert len(complaints) == 6
    assert all(line.startswith("anpr: ") and line.endswith(".") for line in complaints)


def test_a_file_over_the_limit_is_refused(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANPR_MAX_IMAGE_BYTES", "1000")
    assert run("read", photo) == 1
    assert "1,000 bytes" in capsys.readouterr().err


def test_a_folder_is_read_by_name_and_below(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b").mkdir()
    for name in ("z.JPG", "a.jpg", "b/c.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(car_photo(size=(640, 480)))
    assert run("read", tmp_path, "--format", "jsonl") == 0
    sources = [json.loads(line)["source"] for line in capsys.readouterr().out.splitlines()]
    assert [str(Path(s).relative_to(tmp_path)) for s in sources] == ["a.jpg", "z.JPG", "b/c.jpg"]


def test_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(car_photo())))
    assert run("read", "-") == 0
    assert capsys.readouterr().out.startswith(f"-: {PLATE_TEXT} ")


def test_a_url_that_is_not_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("read", "http://127.0.0.1:9/car.jpg", "--format", "jsonl") == 1
    assert json.loads(capsys.readouterr().out)["error"]["status"] == 422


def test_urls_can_be_turned_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANPR_FETCH_ENABLED", "false")
    assert run("read", "https://example.org/car.jpg") == 1
    assert "turned off" in capsys.readouterr().err


def test_a_missing_model_is_said_once(
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ANPR_WEIGHTS_DIR", str(tmp_path))
    assert run("read", photo, photo) == 1
    assert capsys.readouterr().err == "anpr: The manifest 'models.toml' is missing.\n"


def test_annotated_pictures_keep_apart_and_are_written_over(photo: Path, tmp_path: Path) -> None:
    album = tmp_path / "out"
    for _ in range(2):
        assert run("read", photo, photo, "--annotate", album) == 0
        assert sorted(path.name for path in album.iterdir()) == ["car-2.jpg", "car.jpg"]
    with Image.open(album / "car.jpg") as picture:
        assert picture.size == (1024, 576)
        red, green, blue = np.moveaxis(np.asarray(picture), 2, 0)
    assert ((green > 150) & (red < 100) & (blue < 100)).sum() > 500


def test_an_album_that_cannot_be_written(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file, no folder")
    assert run("read", photo, "--annotate", tmp_path / "out") == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["read"],
        ["read", "x.jpg", "--top-n", "0"],
        ["read", "x.jpg", "--min-confidence", "7"],
        ["read", "x.jpg", "--regions", "atlantis"],
        ["serve", "--port", "70000"],
        ["read", "x.jpg", "--format", "xml"],
        [],
    ],
)
def test_wrong_usage_exits_with_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_too_many_candidates(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("read", photo, "--top-n", 999) == 1
    assert "20 at most" in capsys.readouterr().err


def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANPR_READER", "tesseract")
    with pytest.raises(SystemExit, match="ANPR_READER"):
        main(["config"])


@pytest.mark.parametrize("format", ["text", "json", "markdown"])
def test_config_lists_every_setting(
    format: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANPR_PADDING_PX", "9")
    assert run("config", "--format", format) == 0
    out = capsys.readouterr().out
    assert "ANPR_PADDING_PX" in out
    assert "ANPR_FETCH_HOSTS" in out


def test_a_port_from_the_environment_must_be_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "http")
    assert run("serve") == 1
    assert "PORT" in capsys.readouterr().err


def test_output_into_a_closed_pipe_ends_quietly(photo: Path) -> None:
    command = f"{sys.executable} -m anpr.cli read {photo} {photo} --format jsonl | head -c 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, env=os.environ.copy()
    )
    assert done.stderr == ""


def test_a_name_that_is_no_text_costs_no_photo(photo: Path) -> None:
    odd = os.fsencode(photo.parent) + b"/caf\xe9.jpg"
    Path(os.fsdecode(odd)).write_bytes(photo.read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "anpr.cli", "read", photo.parent, "--format", "jsonl"],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )
    sources = [json.loads(line)["source"] for line in done.stdout.splitlines()]
    assert [os.fsencode(name).rpartition(b"/")[2] for name in sources] == [
        b"caf\xe9.jpg",
        b"car.jpg",
    ]
