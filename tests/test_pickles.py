"""What a checkpoint would do is found without doing it."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest

from anpr import pickles
from anpr.errors import ModelUnsafe, ModelUnusable
from anpr.settings import Settings
from tests.models import samples
from tests.models.samples import pickled, text

LAST = Settings().weights_dir / "last.pt"


def examine(path: Path) -> tuple[str, ...]:
    return pickles.examine(path.read_bytes(), path.name)


def test_a_checkpoint_of_ultralytics_passes_and_tells_its_parts() -> None:
    names = examine(LAST)
    assert "ultralytics.nn.tasks DetectionModel" in names
    assert "torch._utils _rebuild_tensor_v2" in names
    assert list(names) == sorted(set(names))


def test_a_checkpoint_that_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "it-has-run"
    bad = samples.checkpoint(tmp_path / "bad.pt", samples.running_code(marker))
    with pytest.raises(ModelUnsafe, match=r"posix\.system"):
        examine(bad)
    assert not marker.exists()
    with zipfile.ZipFile(bad) as archive:  # it would have, so the test is one
        pickle.loads(archive.read("last/data.pkl"))  # noqa: S301
    assert marker.exists()


@pytest.mark.parametrize(
    "program",
    [
        # as a checkpoint has it while it is trained: the settings, reduced
        pickled(
            b"cultralytics.utils\nIterableSimpleNamespace\n", b")R}", text("imgsz"), b"K\x01sb"
        ),
        pickled(b"cultralytics.nn.modules.head\nv10Detect\n", b")\x81}b"),
        pickled(b"c__builtin__\nset\n", b"](K\x01K\x02e\x85Rq\x00h\x00\x86"),
        pickled(b"(ctorch\nFloatStorage\n", text("0"), text("cpu"), b"K\x06tQ"),
        pickled(
            b"cnumpy._core.multiarray\nscalar\n", b"cnumpy\ndtype\n", text("f8"), b"\x85R\x85R"
        ),
    ],
)
def test_what_checkpoints_have_passes(tmp_path: Path, program: bytes) -> None:
    assert examine(samples.checkpoint(tmp_path / "good.pt", program)) is not None


DETECTION_MODEL = b"cultralytics.nn.tasks\nDetectionModel\n"


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (pickled(b"cos\nsystem\n", text("true"), b"\x85R"), r"os\.system"),
        (pickled(b"c__builtin__\neval\n", text("1"), b"\x85R"), "eval"),
        (pickled(b"cbuiltins\ngetattr\n", b")R"), "getattr"),
        (pickled(b"ctorch.hub\nload\n", b")R"), "hub"),
        (pickled(b"ctorch\nload\n", b")R"), r"torch\.load"),
        (pickled(b"cultralytics.nn.tasks\ntorch_safe_load\n", b")R"), "torch_safe_load"),
        (pickled(b"cultralytics.utils.checks\ncheck_requirements\n", b")R"), "requirements"),
        # its constructor evaluates the text of an activation
        (pickled(DETECTION_MODEL, b"}", b"\x85R"), r"would call .*DetectionModel"),
        (pickled(DETECTION_MODEL, b"q\x00h\x00", b"}\x85R0"), "POP|would call"),
        (pickled(b"K\x01", b")R"), "would call something that it made"),
        (pickled(b"K\x01", b")\x81"), "no known class"),
        (pickled(DETECTION_MODEL, b"}b"), "would change"),
        (pickled(DETECTION_MODEL, text("a"), text("b"), b"s"), "would change"),
        (pickled(text("os"), text("system"), b"\x93"), "STACK_GLOBAL"),
        (pickled(b"(ios\nsystem\n"), "INST"),
        (pickled(b"\x82\x01"), "EXT1"),
        (pickled(b"N", protocol=4), "PROTO"),
        (samples.PLAIN + b"cos\nsystem\n.", "behind its pickle"),
    ],
)
def test_what_no_checkpoint_needs_is_refused(tmp_path: Path, program: bytes, why: str) -> None:
    with pytest.raises(ModelUnsafe, match=why):
        examine(samples.checkpoint(tmp_path / "bad.pt", program))


@pytest.mark.parametrize(
    "program",
    [
        b"",
        b"no pickle",
        pickled(b"R"),  # with nothing to call
        pickled(b"h\x07"),  # from an empty memory
        pickled(b"(K\x01")[:-1],
        pickled(b"t"),  # without a mark
        b"\x80\x02ccollections\n",
    ],
)
def test_a_broken_pickle_is_no_checkpoint(tmp_path: Path, program: bytes) -> None:
    with pytest.raises(ModelUnusable, match="no checkpoint"):
        examine(samples.checkpoint(tmp_path / "bad.pt", program))


PARTS = {"last/data.pkl": samples.PLAIN, "last/version": b"3"}


@pytest.mark.parametrize(
    "files",
    [
        PARTS | {"last/constants.pkl": samples.PLAIN},
        PARTS | {"other/data.pkl": samples.PLAIN},
        PARTS | {"last/DATA.PKL": samples.PLAIN},
        PARTS | {"last/code/model.py": b"import os"},
        PARTS | {"elsewhere": b""},
        {"last/deeper/data.pkl": samples.PLAIN},
        {"last/version": b"3"},
        {},
    ],
)
def test_an_archive_that_readers_may_understand_differently(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    with pytest.raises(ModelUnsafe, match="laid out"):
        examine(samples.archive(tmp_path / "odd.pt", files))


def test_a_compressed_archive_and_one_behind_something_else(tmp_path: Path) -> None:
    good = PARTS | {"last/data/0": bytes(1000)}
    with pytest.raises(ModelUnsafe, match="laid out"):
        examine(samples.archive(tmp_path / "odd.pt", good, compress=True))
    path = samples.archive(tmp_path / "plain.pt", good)
    assert examine(path) == ("collections OrderedDict",)
    path.write_bytes(b"something" + path.read_bytes())
    with pytest.raises(ModelUnsafe, match="laid out"):
        examine(path)


def test_a_pickle_that_takes_too_long_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickles, "MAX_PICKLE_BYTES", 10)
    with pytest.raises(ModelUnsafe, match="too large"):
        examine(samples.checkpoint(tmp_path / "large.pt"))


@pytest.mark.parametrize("cut", [0, 3, 100, 2_000_000])
def test_a_truncated_checkpoint(tmp_path: Path, cut: int) -> None:
    with pytest.raises(ModelUnusable):
        pickles.examine(LAST.read_bytes()[:cut], "last.pt")


def test_a_hostile_name_is_shown_harmlessly(tmp_path: Path) -> None:
    program = pickled(b"cos\x1b[2J\nsystem\n", b")R")
    with pytest.raises(ModelUnsafe) as caught:
        examine(samples.checkpoint(tmp_path / "bad.pt", program))
    assert caught.value.sentence.isprintable()


def test_a_zip_is_told_from_an_onnx_file(tmp_path: Path) -> None:
    assert pickles.is_checkpoint(samples.checkpoint(tmp_path / "a.pt").read_bytes())
    assert not pickles.is_checkpoint(samples.detector(tmp_path / "a.onnx").read_bytes())
