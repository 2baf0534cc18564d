from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from anpr.errors import ModelMismatch, ModelMissing
from anpr.weights import ModelFile


def test_the_right_bytes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "plate.onnx"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    file = ModelFile(path, digest)
    assert file.read() == b"weights"
    assert file.name == f"plate@{digest[:8]}"


def test_one_flipped_bit_is_a_mismatch(tmp_path: Path) -> None:
    path = tmp_path / "plate.onnx"
    path.write_bytes(b"weighus")
    with pytest.raises(ModelMismatch, match=r"plate\.onnx"):
        ModelFile(path, hashlib.sha256(b"weights").hexdigest()).read()


def test_a_missing_file_and_a_folder_are_missing(tmp_path: Path) -> None:
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(ModelMissing):
            ModelFile(path).read()


def test_a_file_nobody_vouched_for_has_a_plain_name() -> None:
    assert ModelFile(Path("own/mine.onnx")).name == "mine"
