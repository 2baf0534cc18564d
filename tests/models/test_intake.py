"""What may come into the store, and how it lies there."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml

from anpr import Recognizer, parts
from anpr.errors import (
    InvalidOption,
    ModelMismatch,
    ModelMissing,
    ModelUnsafe,
    ModelUnusable,
    RuntimeMissing,
    StoreFull,
)
from anpr.models import manifest, trial
from anpr.models.intake import Intake, vouched
from anpr.models.store import Store
from anpr.ocr import PLATE_ALPHABET
from anpr.settings import Settings
from anpr.weights import ModelFile
from tests.graphs import constant_graph
from tests.models import samples
from tests.models.test_onnxfile import with_external_data

WEIGHTS = Settings().weights_dir


def names(store: Store) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir()) if store.folder.exists() else []


def test_a_detector_comes_in_and_can_be_used(intake: Intake, tmp_path: Path) -> None:
    path = samples.detector(tmp_path / "seen.onnx")
    entry = intake.take(path, "mine", licence="MIT")
    assert (entry.name, entry.kind, entry.licence) == ("mine", "detector", "MIT")
    assert entry.source == "imported from seen.onnx"
    assert entry.input_size == (320, 320)
    assert entry.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert intake.store.entries() == {"mine": entry}
    assert names(intake.store) == [f"mine-{entry.sha256[:8]}", "models.toml"]
    settings = Settings(cache_dir=str(intake.store.folder.parent), detector_model="mine")
    assert Recognizer(settings).models["detector"] == f"mine@{entry.sha256[:8]}"
    assert len(Recognizer(settings).read(np.zeros((64, 64, 3), np.uint8))) == 0


def test_one_that_was_replaced_is_there_once_the_old_one_is_unloaded(
    intake: Intake, tmp_path: Path
) -> None:
    first = intake.take(samples.detector(tmp_path / "seen.onnx"), "mine")
    settings = Settings(cache_dir=str(intake.store.folder.parent), detector_model="mine")
    product = Recognizer(settings)
    product.load()
    other = samples.detector(tmp_path / "seen.onnx", seed=1)
    second = intake.take(other, "mine", replace_old=True)
    assert first.sha256 != second.sha256
    assert product.models["detector"] == f"mine@{first.sha256[:8]}"
    assert product.unload()
    assert product.models["detector"] == f"mine@{second.sha256[:8]}"
    product.load()
    assert product.unload()
    assert product.unload()  # nothing there, and no harm


def test_a_reader_comes_in_with_its_alphabet(intake: Intake, tmp_path: Path) -> None:
    entry = intake.take(samples.reader(tmp_path / "a.onnx"), "reads")
    assert (entry.kind, entry.alphabet, entry.input_size) == ("reader", PLATE_ALPHABET, None)


def pp_ocr_folder(folder: Path, *, characters: str = PLATE_ALPHABET) -> Path:
    folder.mkdir()
    samples.reader(folder / "inference.onnx", characters=False)
    config = {"PostProcess": {"name": "CTCLabelDecode", "character_dict": list(characters)}}
    (folder / "inference.yml").write_text(yaml.safe_dump(config))
    return folder


def test_a_pp_ocr_folder_comes_in_as_one_file(intake: Intake, tmp_path: Path) -> None:
    folder = pp_ocr_folder(tmp_path / "PP-OCR_rec")
    entry = intake.take(folder, "folder")
    data = entry.path.read_bytes()
    metadata = {p.key: p.value for p in onnx.load_from_string(data).metadata_props}
    assert metadata["character"].split("\n") == list(PLATE_ALPHABET)
    original = hashlib.sha256((folder / "inference.onnx").read_bytes()).hexdigest()
    assert entry.more["original_sha256"] == original != entry.sha256
    assert [path.name for path in entry.path.parent.iterdir()] == ["folder.onnx"]


def test_a_folder_whose_model_has_its_characters_needs_no_config(
    intake: Intake, tmp_path: Path
) -> None:
    folder = pp_ocr_folder(tmp_path / "rec")
    samples.reader(folder / "inference.onnx")
    (folder / "inference.yml").unlink()
    assert intake.take(folder, "folder").kind == "reader"


@pytest.mark.parametrize("characters", ["ABC", ""])
def test_characters_that_do_not_fit_the_model(
    intake: Intake, tmp_path: Path, characters: str
) -> None:
    folder = pp_ocr_folder(tmp_path / "rec", characters=characters)
    with pytest.raises(ModelUnusable, match="characters"):
        intake.take(folder, "folder")
    assert names(intake.store) == []


def test_a_config_that_is_no_text(intake: Intake, tmp_path: Path) -> None:
    folder = pp_ocr_folder(tmp_path / "rec")
    (folder / "inference.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelUnusable, match=r"inference\.yml"):
        intake.take(folder, "folder")


@pytest.mark.parametrize("name", ["inference.onnx", "inference.yml"])
def test_a_folder_with_a_link_out_of_it(intake: Intake, tmp_path: Path, name: str) -> None:
    folder = pp_ocr_folder(tmp_path / "rec")
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(ModelUnsafe, match="link out of its folder"):
        intake.take(folder, "folder")


def paddle_folder(folder: Path) -> Path:
    folder.mkdir()
    for name in ("inference.pdiparams", "inference.pdmodel", "inference.yml"):
        (folder / name).write_text(f"{name} of a model")
    return folder


def test_a_folder_in_paddles_own_format_needs_paddle(
    intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "paddleocr", None)
    with pytest.raises(RuntimeMissing, match="paddle"):
        intake.take(paddle_folder(tmp_path / "det"), "folder")
    assert names(intake.store) == []


def test_a_folder_in_paddles_own_format_is_taken_as_it_is(
    intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def look(room: Path, _: Path) -> None:
        seen.append(sorted(path.name for path in room.iterdir()))

    monkeypatch.setattr(trial, "run_text_detector", look)
    folder = paddle_folder(tmp_path / "det")
    with pytest.raises(ModelMismatch):
        intake.take(folder, "text", sha256="0" * 64)
    entry = intake.take(folder, "text")
    assert seen == [["inference.pdiparams", "inference.pdmodel", "inference.yml"]]
    assert (entry.kind, entry.path.name, len(entry.parts)) == (
        "text-detector",
        "inference.pdiparams",
        2,
    )
    settings = Settings(
        cache_dir=str(intake.store.folder.parent),
        reader="paddle",
        paddle_detection_model="text",
    )
    assert parts._text_detector(settings) == entry.path.parent
    entry.parts[1].path.write_text("changed")
    with pytest.raises(ModelMismatch):
        parts._text_detector(settings)
    for given, wanted in ((str(folder), folder), ("", None)):
        named = Settings(reader="paddle", paddle_detection_model=given)
        assert parts._text_detector(named) == wanted


@pytest.mark.parametrize("missing", ["inference.yml", "all"])
def test_a_folder_that_is_not_whole(intake: Intake, tmp_path: Path, missing: str) -> None:
    folder = paddle_folder(tmp_path / "det")
    for path in list(folder.iterdir()) if missing == "all" else [folder / missing]:
        path.unlink()
    with pytest.raises(ModelMissing, match="inference"):
        intake.take(folder, "folder")


def test_weights_in_another_file_come_in_with_the_model(intake: Intake, tmp_path: Path) -> None:
    path = samples.detector(tmp_path / "a.onnx")
    model = onnx.load(path)
    onnx.save(
        model, tmp_path / "b.onnx", save_as_external_data=True, location="w", size_threshold=0
    )
    entry = intake.take(tmp_path / "b.onnx", "whole")
    (tmp_path / "w").unlink()
    whole, first = (onnx.load(one, load_external_data=False) for one in (entry.path, path))
    for found, wanted in zip(whole.graph.initializer, first.graph.initializer, strict=True):
        assert found.raw_data == wanted.raw_data


def test_weights_that_lie_elsewhere_are_refused(intake: Intake, tmp_path: Path) -> None:
    path = with_external_data(tmp_path, "/etc/hostname")
    with pytest.raises(ModelUnsafe, match="outside"):
        intake.take(path, "evil")
    assert names(intake.store) == []


def not_one_image(path: Path) -> Path:
    return constant_graph(path, np.zeros((1, 5, 8), np.float32), shape=(1, 3))


def not_boxes(path: Path) -> Path:
    return constant_graph(path, np.zeros((1, 3), np.float32))


@pytest.mark.parametrize("make", [not_one_image, not_boxes])
def test_a_model_of_something_else_is_refused(intake: Intake, tmp_path: Path, make: object) -> None:
    assert callable(make)
    with pytest.raises(ModelUnusable):
        intake.take(make(tmp_path / "a.onnx"), "other")
    assert names(intake.store) == []


def test_a_graph_that_cannot_be_run(intake: Intake, tmp_path: Path) -> None:
    model = onnx.load(samples.detector(tmp_path / "a.onnx"))
    model.graph.node[0].op_type = "NoSuchOperator"
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelUnusable, match="ONNX Runtime"):
        intake.take(tmp_path / "a.onnx", "other")


@pytest.mark.parametrize("size", [1_000_000, 0])
def test_a_detector_of_an_absurd_size(intake: Intake, tmp_path: Path, size: int) -> None:
    answer = np.zeros((1, 5, 8), np.float32)
    path = constant_graph(tmp_path / "a.onnx", answer, shape=(1, 3, size, size))
    with pytest.raises(ModelUnusable, match=f"{size}x{size}"):
        intake.take(path, "absurd")


@pytest.mark.parametrize("content", [b"", b"a text", b"PK\x03\x04 and no more"])
def test_a_file_that_is_no_model(intake: Intake, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(ModelUnusable):
        intake.take(tmp_path / "a.onnx", "text")


def test_a_file_that_is_not_there(intake: Intake, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"none\.onnx"):
        intake.take(tmp_path / "none.onnx", "none")


def test_a_file_that_cannot_be_read(intake: Intake) -> None:
    with pytest.raises(ModelMissing, match="cannot be read"):
        intake.take(Path("/proc/self/mem"), "memory")  # whose first bytes are nobody's


def test_weights_elsewhere_are_not_run_either(tmp_path: Path) -> None:
    path = with_external_data(tmp_path, "weights.bin")
    with pytest.raises(ModelUnusable, match="in other files"):
        trial.run_once(ModelFile(path, hashlib.sha256(path.read_bytes()).hexdigest()))


def test_a_file_that_is_too_large(intake: Intake, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="larger"):
        replace(intake, max_bytes=100).take(samples.detector(tmp_path / "a.onnx"), "large")


def test_another_hash_than_the_one_that_was_given(intake: Intake, tmp_path: Path) -> None:
    path = samples.detector(tmp_path / "a.onnx")
    good = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ModelMismatch, match=good):
        intake.take(path, "mine", sha256="0" * 64)
    assert intake.take(path, "mine", sha256=good).sha256 == good


@pytest.mark.parametrize("name", ["", "../evil", "a b", ".hidden"])
def test_a_name_that_cannot_be_one(intake: Intake, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidOption, match="name"):
        intake.take(samples.detector(tmp_path / "a.onnx"), name)


def test_a_name_of_the_package_stays_the_packages(intake: Intake, tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="package has a model"):
        intake.take(samples.detector(tmp_path / "a.onnx"), "plate-detector")


# --- the same name, the same file --------------------------------------------------------------


def test_a_name_is_not_taken_from_another_model_unless_said(intake: Intake, tmp_path: Path) -> None:
    first = intake.take(samples.detector(tmp_path / "a.onnx", seed=1), "mine")
    other = samples.detector(tmp_path / "b.onnx", seed=2)
    with pytest.raises(InvalidOption, match="another model"):
        intake.take(other, "mine")
    assert intake.store.entries() == {"mine": first}
    second = intake.take(other, "mine", replace_old=True)
    assert intake.store.entries() == {"mine": second}
    assert names(intake.store) == [f"mine-{second.sha256[:8]}", "models.toml"]


def test_the_same_again_is_a_repair(intake: Intake, tmp_path: Path) -> None:
    path = samples.detector(tmp_path / "a.onnx")
    entry = intake.take(path, "mine")
    entry.path.write_bytes(b"damaged")
    assert intake.take(path, "mine") == entry
    assert entry.file.read() == path.read_bytes()
    shutil.rmtree(entry.path.parent)
    assert intake.take(path, "mine") == entry
    assert entry.file.read() == path.read_bytes()


def test_the_same_again_does_not_touch_a_file_that_is_whole(intake: Intake, tmp_path: Path) -> None:
    path = samples.detector(tmp_path / "a.onnx")
    before = intake.take(path, "mine").path.stat()
    again = intake.take(path, "mine", licence="MIT")
    assert again.path.stat().st_ino == before.st_ino
    assert intake.store.entries()["mine"].licence == "MIT"


@pytest.mark.parametrize("replacing", [False, True])
def test_a_manifest_that_cannot_be_written_leaves_all_as_it_was(
    intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replacing: bool
) -> None:
    old = intake.take(samples.detector(tmp_path / "a.onnx", seed=1), "mine")
    before = sorted(intake.store.folder.rglob("*"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(manifest, "write", full)
    other = samples.detector(tmp_path / "b.onnx", seed=2)
    with pytest.raises(StoreFull):
        intake.take(other, "mine" if replacing else "other", replace_old=replacing)
    assert sorted(intake.store.folder.rglob("*")) == before
    assert intake.store.entries() == {"mine": old}
    assert old.file.read()


def test_a_loose_file_of_the_store_is_replaced_by_a_folder(intake: Intake, tmp_path: Path) -> None:
    old = intake.take(samples.detector(tmp_path / "a.onnx", seed=1), "mine")
    loose = intake.store.folder / "loose.onnx"
    old.path.rename(loose)
    old.path.parent.rmdir()
    manifest.write(intake.store.folder, [replace(old, path=loose)])
    new = intake.take(samples.detector(tmp_path / "b.onnx", seed=2), "mine", replace_old=True)
    assert names(intake.store) == [new.path.parent.name, "models.toml"]


def test_one_file_has_one_name(intake: Intake, tmp_path: Path) -> None:
    path = samples.detector(tmp_path / "a.onnx")
    intake.take(path, "mine")
    with pytest.raises(InvalidOption, match="already, as 'mine'"):
        intake.take(path, "again")


# --- checkpoints -------------------------------------------------------------------------------


def test_a_checkpoint_that_nobody_vouches_for(intake: Intake, tmp_path: Path) -> None:
    path = samples.checkpoint(tmp_path / "last.pt")
    with pytest.raises(ModelUnsafe, match="--trust"):
        intake.take(path, "mine")


@pytest.mark.parametrize("how", ["trusted", "hash given", "in a manifest"])
def test_a_checkpoint_that_somebody_vouches_for_is_loaded(
    intake: Intake, tmp_path: Path, how: str
) -> None:
    path = samples.checkpoint(tmp_path / "last.pt")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if how == "trusted":
        intake = replace(intake, trust=True)
    elif how == "in a manifest":
        intake = replace(intake, vouched=frozenset({digest}))
    # there is no Torch in the base install; where there is, this one is no model
    with pytest.raises((RuntimeMissing, ModelUnusable)) as caught:
        intake.take(path, "mine", sha256=digest if how == "hash given" else None)
    assert type(caught.value) in (RuntimeMissing, ModelUnusable)
    assert names(intake.store) == []


def test_a_checkpoint_that_runs_code_is_refused_whoever_trusts_it(
    intake: Intake, tmp_path: Path
) -> None:
    marker = tmp_path / "it-has-run"
    path = samples.checkpoint(tmp_path / "last.pt", samples.running_code(marker))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    trusting = replace(intake, trust=True, vouched=frozenset({digest}))
    with pytest.raises(ModelUnsafe, match=r"posix\.system"):
        trusting.take(path, "evil", sha256=digest)
    assert not marker.exists()
    assert names(intake.store) == []


def test_the_manifests_vouch_for_their_models(intake: Intake, tmp_path: Path) -> None:
    entry = intake.take(samples.detector(tmp_path / "a.onnx"), "mine")
    known = vouched(WEIGHTS, intake.store)
    assert {entry.sha256, manifest.read(WEIGHTS)["last"].sha256} <= known
    assert entry.sha256 not in vouched(WEIGHTS, None)


def test_json_is_taken_as_a_config_too(intake: Intake, tmp_path: Path) -> None:
    folder = pp_ocr_folder(tmp_path / "rec")
    config = {"PostProcess": {"character_dict": list(PLATE_ALPHABET)}}
    (folder / "inference.yml").write_text(json.dumps(config))
    assert intake.take(folder, "folder").alphabet == PLATE_ALPHABET
