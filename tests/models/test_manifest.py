from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from anpr.errors import ModelMissing, ModelUnusable
from anpr.models import manifest
from anpr.models.manifest import Entry
from anpr.settings import Settings

TABLE = """
[mine]
kind = "detector"
file = "mine.onnx"
bytes = 4
sha256 = "{sha256}"
licence = "Apache-2.0"
source = "made here"
"""
GOOD = TABLE.format(sha256=hashlib.sha256(b"mine").hexdigest())


def write(folder: Path, text: str) -> Path:
    (folder / "models.toml").write_text(text)
    (folder / "mine.onnx").write_bytes(b"mine")
    return folder


def test_an_entry_is_found_by_name(tmp_path: Path) -> None:
    file = manifest.find(write(tmp_path, GOOD), "mine")
    assert file.path == tmp_path / "mine.onnx"
    assert file.read() == b"mine"


def test_an_unknown_name_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="it has mine"):
        manifest.find(write(tmp_path, GOOD), "yours")


@pytest.mark.parametrize(
    "text",
    [
        "this is no TOML",
        "mine = 3",
        "[mine]\nkind = 'detector'",
        TABLE.format(sha256="abc"),
        TABLE.format(sha256="ab" * 16),
        TABLE.format(sha256="zz" * 32),
        GOOD.replace("mine.onnx", "../mine.onnx"),
        GOOD.replace("mine.onnx", "/etc/passwd"),
        GOOD.replace("bytes = 4", "bytes = 'four'"),
    ],
)
def test_a_broken_manifest_is_a_typed_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelUnusable):
        manifest.read(write(tmp_path, text))


def test_a_package_that_is_not_installed_makes_its_model_missing(tmp_path: Path) -> None:
    text = GOOD.replace('kind = "detector"', 'kind = "detector"\npackage = "no_such_package_here"')
    with pytest.raises(ModelMissing):
        manifest.find(write(tmp_path, text), "mine").read()


def test_what_is_recorded_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "new.onnx").write_bytes(b"newer")
    entry = Entry("new", "reader", tmp_path / "new.onnx", 0, "", "MIT", 'by "us"')
    manifest.record(tmp_path, entry)
    entries = manifest.read(tmp_path)
    assert sorted(entries) == ["mine", "new"]
    assert entries["new"].bytes == 5
    assert entries["new"].source == 'by "us"'
    assert entries["new"].file.read() == b"newer"


@pytest.mark.parametrize("name", sorted(manifest.read(Settings().weights_dir)))
def test_every_model_of_ours_is_what_the_manifest_says(name: str) -> None:
    entry = manifest.read(Settings().weights_dir)[name]
    assert len(entry.file.read()) == entry.bytes
    assert entry.kind in ("detector", "reader")
    assert entry.licence
