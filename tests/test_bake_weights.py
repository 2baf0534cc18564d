"""``scripts/bake_weights.py``: what goes into an image's weights folder."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from anpr.errors import ModelMismatch, RuntimeMissing
from anpr.models import manifest
from anpr.models.compiled import survey
from anpr.pipeline import Recognizer
from anpr.settings import Settings
from tests.scenes import PLATE_TEXT, car_photo

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def bake_weights() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bake_weights", ROOT / "scripts/bake_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A copy of the checkout's weights that may be spoilt."""
    return Path(shutil.copytree(ROOT / "weights", tmp_path / "weights"))


def test_the_weights_of_the_checkout_are_compiled(bake_weights: ModuleType) -> None:
    assert bake_weights.main(["check", str(ROOT / "weights")]) == 0


def test_a_baked_folder_stands_alone(
    bake_weights: ModuleType, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "baked"
    assert bake_weights.main(["bake", str(weights), str(target)]) == 0

    entries = tomllib.loads((target / "models.toml").read_text())
    assert {path.name for path in target.iterdir()} == {
        "models.toml",
        "plate-detector.onnx",
        "plate-reader.onnx",
        "compiled",
    }
    assert set(entries) == {"plate-detector", "plate-reader"}
    for entry in entries.values():
        assert "package" not in entry
        digest = hashlib.sha256((target / entry["file"]).read_bytes()).hexdigest()
        assert entry["sha256"] == digest
    result = Recognizer(Settings(weights_dir=target)).read(car_photo())
    assert [plate.text for plate in result] == [PLATE_TEXT]


def test_portable_compiled_forms_are_what_an_image_loads(
    bake_weights: ModuleType, weights: Path, tmp_path: Path
) -> None:
    target = tmp_path / "baked"
    bake_weights.bake(weights, target)
    forms = survey(target / "compiled")
    assert [one.state for one in forms] == ["good", "good"]
    sources = {one.origin.source_sha256 for one in forms if one.origin}
    entries = manifest.read(target)
    assert sources == {entry.sha256 for entry in entries.values()}
    assert {one.origin.level for one in forms if one.origin} == {"extended"}
    for entry in entries.values():  # of the same size, but not to be loaded
        entry.path.write_bytes(bytes(entry.bytes))
    settings = Settings(weights_dir=target, cache_disabled=True)
    result = Recognizer(settings).read(car_photo())
    assert [plate.text for plate in result] == [PLATE_TEXT]


def test_the_checkpoint_goes_along_when_asked_for(
    bake_weights: ModuleType, weights: Path, tmp_path: Path
) -> None:
    bake_weights.main(["bake", "--checkpoint", str(weights), str(tmp_path / "baked")])
    checkpoint = manifest.read(tmp_path / "baked")["last"]
    assert checkpoint.file.read() == (weights / "last.pt").read_bytes()


def test_a_checkpoint_of_ones_own_asks_for_compilation(
    bake_weights: ModuleType, weights: Path
) -> None:
    with (weights / "last.pt").open("ab") as file:
        file.write(b"mine")
    assert bake_weights.main(["check", str(weights)]) == 3


def test_without_a_checkpoint_the_compiled_detector_will_do(
    bake_weights: ModuleType, weights: Path
) -> None:
    (weights / "last.pt").unlink()
    assert bake_weights.main(["check", str(weights)]) == 0


def test_a_damaged_detector_asks_for_compilation(bake_weights: ModuleType, weights: Path) -> None:
    detector = weights / "plate-detector.onnx"
    detector.write_bytes(detector.read_bytes()[:-1] + b"?")
    assert bake_weights.main(["check", str(weights)]) == 3


def test_what_has_to_be_compiled_is_compiled(
    bake_weights: ModuleType, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler itself has tests of its own; here it gives other bytes than the manifest's."""
    detector = weights / "plate-detector.onnx"
    made, more = detector.read_bytes(), b"\x72\x00"  # an empty entry of an ONNX file's metadata
    detector.write_bytes(b"damaged")
    asked = []

    def stand_in(source: Path, target: Path) -> None:
        asked.append(source)
        target.write_bytes(made + more)

    monkeypatch.setattr("anpr.models.compile.compile_detector", stand_in)
    bake_weights.bake(weights, tmp_path / "baked")
    entry = manifest.read(tmp_path / "baked")["plate-detector"]
    assert asked == [weights / "last.pt"]
    assert entry.file.read() == made + more
    assert entry.bytes == len(made) + 2


def test_compiling_needs_what_training_needs(
    bake_weights: ModuleType, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (weights / "plate-detector.onnx").unlink()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(RuntimeMissing):
        bake_weights.bake(weights, tmp_path / "baked")


def test_a_reader_that_is_not_the_manifests_is_not_baked(
    bake_weights: ModuleType, weights: Path, tmp_path: Path
) -> None:
    text = (weights / "models.toml").read_text()
    digest = manifest.read(weights)["plate-reader"].sha256
    (weights / "models.toml").write_text(text.replace(digest, "0" * 64))
    with pytest.raises(ModelMismatch):
        bake_weights.bake(weights, tmp_path / "baked")


def test_bake_needs_a_target(bake_weights: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        bake_weights.main(["bake", str(ROOT / "weights")])
    assert "TARGET" in capsys.readouterr().err
