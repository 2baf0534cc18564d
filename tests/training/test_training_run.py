"""A whole run on a handful of drawn photos: trained, killed, resumed, published."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from anpr.models import onnxfile
from anpr.models.manifest import read as read_manifest
from training import data, paths
from training.detector.__main__ import main

pytestmark = [
    pytest.mark.reference,
    pytest.mark.filterwarnings("default"),  # Torch and Ultralytics warn of each other
]


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    """Eight photos with a white block each."""
    random = np.random.default_rng(0)
    rows = []
    for index in range(8):
        split = "val" if index >= 6 else "train"
        photo = random.integers(0, 90, (96, 128, 3), dtype=np.uint8)
        x, y = int(random.integers(5, 80)), int(random.integers(5, 70))
        photo[y : y + 14, x : x + 40] = 250
        cv2.imwrite(str(tmp_path / f"{index}.jpg"), photo)
        row = {"file": f"{index}.jpg", "split": split, "width": 128, "height": 96}
        rows.append({**row, "boxes": [[x, y, x + 40, y + 14]]})
    path = tmp_path / "photos.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def command(listing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command's options for a small run in ``tmp_path``."""
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    config = tmp_path / "config.yaml"
    config.write_text(
        "architecture: yolo11n.yaml\nepochs: 2\nclosing_epochs: 1\nthreads: 1\nworkers: 0\n"
        "shapes: [[64, 64], [32, 64]]\n"
        "ultralytics: {imgsz: 64, batch: 4, nbs: 4, optimizer: AdamW, lr0: 0.001, plots: false}\n",
        encoding="utf-8",
    )
    weights = ["--weights", str(tmp_path / "last.pt"), "--onnx", str(tmp_path / "last.onnx")]
    return ["--config", str(config), "--photos", str(listing), *weights]


def test_run_is_resumed_and_published(
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    from training.detector import trainer

    stock = trainer._plan

    def killed(of: trainer.PlateTrainer) -> None:
        if of.epoch == 1:
            raise KeyboardInterrupt
        stock(of)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_plan", killed)
        with pytest.raises(KeyboardInterrupt):
            main(command)
    run = tmp_path / "runs" / "detector"
    assert len((run / "results.csv").read_text("utf-8").splitlines()) == 2
    with pytest.raises(SystemExit, match="--resume"):
        main(command)

    assert main([*command, "--resume"]) == 0
    assert len((run / "results.csv").read_text("utf-8").splitlines()) == 3
    assert "fitness" in capsys.readouterr().out
    assert (tmp_path / "last.onnx").is_file()

    published = torch.load(tmp_path / "last.pt", map_location="cpu", weights_only=False)
    assert published["optimizer"] is None
    assert published["model"].names == {0: data.CLASS_NAME}
    assert str(tmp_path).encode() not in (tmp_path / "last.pt").read_bytes()
    assert str(paths.REPO).encode() not in (tmp_path / "last.pt").read_bytes()


def test_what_is_better_stays(command: list[str], tmp_path: Path) -> None:
    main(command)
    before = (tmp_path / "last.pt").read_bytes()
    (built,) = (tmp_path / "cache").glob("*/data.yaml")
    compiled = tmp_path / "last.onnx"
    made = compiled.stat().st_mtime_ns
    finish = [*command, "--data", str(built), "--finish"]
    assert main(finish) == 0
    assert (tmp_path / "last.pt").read_bytes() == before
    assert compiled.stat().st_mtime_ns == made

    # a manifest that an earlier run did not come to write
    manifest = tmp_path / "models.toml"
    manifest.write_text(
        "".join(
            f'[{name}]\nkind = "detector"\nfile = "{file}"\nbytes = 1\nsha256 = "{"0" * 64}"\n'
            'licence = "AGPL-3.0"\nsource = "here"\n'
            for name, file in (("last", "last.pt"), ("plate-detector", "last.onnx"))
        )
    )
    assert main(finish) == 0
    for name, file in (("last", "last.pt"), ("plate-detector", "last.onnx")):
        entry = read_manifest(tmp_path)[name]
        assert entry.sha256 == hashlib.sha256((tmp_path / file).read_bytes()).hexdigest()

    # the ONNX of another checkpoint, as where one's own is put in place by hand
    compiled.write_bytes(onnxfile.with_metadata(compiled.read_bytes(), {"source_sha256": "ab"}))
    assert main(finish) == 0
    assert onnxfile.describe(compiled.read_bytes()).metadata["source_sha256"] == (
        hashlib.sha256(before).hexdigest()
    )


def test_batch_is_cut_to_a_window_with_its_boxes() -> None:
    import torch

    from training.detector.trainer import cut

    batch = {
        "img": torch.arange(2 * 3 * 64 * 64).reshape(2, 3, 64, 64),
        "bboxes": torch.tensor(
            [[0.5, 0.5, 0.25, 0.25], [0.5, 0.0, 0.5, 0.5], [0.1, 0.9, 0.1, 0.1]]
        ),
        "cls": torch.zeros(3, 1),
        "batch_idx": torch.tensor([0.0, 1.0, 1.0]),
    }
    cutting = cut(batch, top=0, left=16, height=32, width=32)
    assert torch.equal(cutting["img"], batch["img"][:, :, :32, 16:48])
    # the first is cut in half, the second lies half outside already, the third is not in the window
    assert cutting["batch_idx"].tolist() == [0.0, 1.0]
    assert cutting["cls"].shape == (2, 1)
    assert cutting["bboxes"].tolist() == [
        pytest.approx([0.5, 0.875, 0.5, 0.25]),
        pytest.approx([0.5, 0.25, 1.0, 0.5]),
    ]


def test_lighter_architecture_takes_over_what_has_the_same_role() -> None:
    import torch
    from ultralytics.nn.tasks import DetectionModel

    from training.detector.architectures import OWN
    from training.detector.transfer import carried_over

    torch.manual_seed(0)
    source = DetectionModel("yolo11n.yaml", nc=1, verbose=False).state_dict()
    target = DetectionModel(str(OWN), nc=1, verbose=False).state_dict()
    filled, missing = carried_over(source, target)
    assert {name.split(".")[2] for name in missing} == {"cv2"}  # the boxes' branch of the head
    assert torch.equal(filled["model.20.cv3.1.2.weight"], source["model.23.cv3.1.2.weight"])
    before, after = source["model.3.conv.weight"], filled["model.3.conv.weight"]
    (kept,) = (c for c in range(64) if torch.equal(before[:, c], after[:, 0]))
    name = "model.2.cv2.conv.weight"
    assert torch.equal(filled[name][0], source[name][kept])
    assert carried_over(target, target)[1] == []


def test_every_architecture_of_the_table_can_be_built() -> None:
    from ultralytics.nn.tasks import DetectionModel

    from training.detector.architectures import ARCHITECTURES

    for name, architecture in ARCHITECTURES.items():
        model = DetectionModel(architecture, nc=1, verbose=False)
        parameters = sum(tensor.numel() for tensor in model.parameters())
        assert 0.4e6 < parameters < 2.7e6, name


def test_average_of_the_weights_reaches_back_as_far_as_is_told() -> None:
    from types import SimpleNamespace

    from training.detector.config import Config
    from training.detector.trainer import _average

    trainer = SimpleNamespace(config=Config(average_decay=0.99), ema=SimpleNamespace(decay=None))
    _average(trainer)  # type: ignore[arg-type]
    decays = [trainer.ema.decay(updates) for updates in (0, 90, 10_000)]
    assert decays == [0.1, 0.91, 0.99]
