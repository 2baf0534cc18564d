from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from anpr.errors import ModelMissing, ModelUnsafe, ModelUnusable
from anpr.models import manifest, survey
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


FULL = (
    GOOD
    + """
made_from = "ff"
input_size = [192, 320]
alphabet = "AB\\u00e9"
metrics = { mAP50 = 0.5, "exact, folded" = 1.0 }
files = [ { file = "more/x.yml", bytes = 1, sha256 = "HASH" } ]
trained_by = "us"
on = 2026-11-21
marks = [1, 2.5, true]
""".replace("HASH", hashlib.sha256(b"x").hexdigest())
)


def test_every_key_is_read_and_written_again(tmp_path: Path) -> None:
    write(tmp_path, FULL)
    entry = manifest.read(tmp_path)["mine"]
    assert (entry.made_from, entry.input_size, entry.alphabet) == ("ff", (192, 320), "ABé")
    assert entry.metrics == {"mAP50": 0.5, "exact, folded": 1.0}
    assert [part.path for part in entry.all_parts] == [
        tmp_path / "mine.onnx",
        tmp_path / "more" / "x.yml",
    ]
    assert entry.total_bytes == 5
    assert entry.more["trained_by"] == "us"
    manifest.write(tmp_path, [entry])
    assert manifest.read(tmp_path) == {"mine": entry}


def test_recording_keeps_what_other_entries_say(tmp_path: Path) -> None:
    write(tmp_path, FULL)
    (tmp_path / "new.onnx").write_bytes(b"newer")
    manifest.record(tmp_path, Entry("new", "reader", tmp_path / "new.onnx", 0, "", "MIT", "us"))
    assert manifest.read(tmp_path)["mine"].more["trained_by"] == "us"


def test_new_bytes_keep_what_is_said_but_not_what_was_measured(tmp_path: Path) -> None:
    write(tmp_path, FULL)
    again = Entry("mine", "detector", tmp_path / "mine.onnx", 0, "", "MIT", "us")
    manifest.record(tmp_path, again)
    assert manifest.read(tmp_path)["mine"].metrics["mAP50"] == 0.5
    (tmp_path / "mine.onnx").write_bytes(b"other")
    manifest.record(tmp_path, again)
    entry = manifest.read(tmp_path)["mine"]
    assert (entry.alphabet, entry.input_size, entry.more["trained_by"]) == ("ABé", (192, 320), "us")
    assert (entry.bytes, dict(entry.metrics)) == (5, {})


def test_the_package_comes_before_the_store(tmp_path: Path) -> None:
    weights, store = tmp_path / "weights", tmp_path / "store"
    for folder in (weights, store):
        folder.mkdir()
        write(folder, GOOD)
    (store / "models.toml").write_text(GOOD + GOOD.replace("[mine]", "[theirs]"))
    assert manifest.find(weights, "mine", store=store).path == weights / "mine.onnx"
    assert manifest.find(weights, "theirs", store=store).path == store / "mine.onnx"
    (store / "models.toml").write_text("broken")
    assert manifest.find(weights, "mine", store=store).path == weights / "mine.onnx"
    with pytest.raises(ModelUnusable):
        manifest.find(weights, "theirs", store=store)


def test_a_store_that_does_not_exist_has_no_models(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="it has mine"):
        manifest.find(write(tmp_path, GOOD), "yours", store=tmp_path / "none")


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="manifest"):
        manifest.read(tmp_path)


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    assert manifest.find(tmp_path, "some/model").path == Path("some/model")
    assert manifest.find(tmp_path, "model.onnx").sha256 is None


def test_a_link_out_of_the_folder_is_not_loaded(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    write(weights, GOOD)
    (weights / "mine.onnx").rename(tmp_path / "outside.onnx")
    (weights / "mine.onnx").symlink_to(tmp_path / "outside.onnx")
    with pytest.raises(ModelUnsafe, match="link out of its folder"):
        manifest.find(weights, "mine")
    (weights / "mine.onnx").unlink()
    (weights / "real.onnx").write_bytes(b"mine")
    (weights / "mine.onnx").symlink_to("real.onnx")
    assert manifest.find(weights, "mine").read() == b"mine"


@pytest.mark.parametrize("name", ["a", "A-1_b", "0", "x" * 64])
def test_a_good_name(name: str) -> None:
    assert manifest.good_name(name)


@pytest.mark.parametrize("name", ["", "-a", "a/b", "..", "a b", "x" * 65, "é", "a\n"])
def test_a_bad_name(name: str) -> None:
    assert not manifest.good_name(name)


@pytest.mark.parametrize("name", sorted(manifest.read(Settings().weights_dir)))
def test_every_model_of_ours_is_what_the_manifest_says(name: str) -> None:
    entry = manifest.read(Settings().weights_dir)[name]
    assert len(entry.file.read()) == entry.bytes
    assert entry.kind in ("detector", "reader")
    assert entry.licence


def test_a_model_of_a_package_that_is_not_installed_is_no_fault(tmp_path: Path) -> None:
    table = manifest.Entry(
        name="optional",
        kind="reader",
        path=Path("not-installed/nonesuch/model.onnx"),
        bytes=1,
        sha256="00" * 32,
        licence="Apache-2.0",
        source="a package",
        package="nonesuch",
    )
    manifest.write(tmp_path, [table])
    (status,) = survey.verify(tmp_path, None)
    assert status.state == "not installed"
    assert status.whole


def test_a_store_that_cannot_be_looked_into(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("a" * 300)  # a name that no file can have
    with pytest.raises(ModelUnusable, match="store"):
        manifest.read_store(loop)
