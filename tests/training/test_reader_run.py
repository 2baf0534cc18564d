"""A whole run of the reader's training on a handful of drawn crops: ended, resumed, published."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from anpr.models import manifest
from anpr.ocr import PLATE_WIDTH, TWO_LINES, OnnxReader, input_tensor
from anpr.weights import ModelFile
from tests.scenes import plate_pixels
from training import paths

pytestmark = [pytest.mark.reference, pytest.mark.filterwarnings("default")]

PLATES = [
    ("AB12CDE",),
    ("RK069AV",),
    ("KA05MF5055",),
    ("7ABC123",),
    ("AB12", "CDE"),
    ("59X1", "23456"),
]
MEASURED = [("SO0665L",), ("MH20", "DV2366")]
SOURCE = "us-openalpr-seg"


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like ``../shared`` with drawn plates: what is trained on is not measured."""
    folder = tmp_path / "shared" / "data"
    folder.mkdir(parents=True)
    rows = []
    for split, plates in (("train", PLATES), ("dev", MEASURED)):
        for number, lines in enumerate(plates):
            image = plate_pixels(*lines, height=60 if len(lines) == 1 else 110)
            file = f"{split}-{number}.png"
            cv2.imwrite(str(folder / file), image)
            row = {"file": file, "split": split, "source": SOURCE, "box": None, "country": "US-AK"}
            rows.append({**row, "text": "".join(lines)})
    (folder / "crops.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    photo = {"split": "world", "texts": ["KBN860U"]}
    (folder / "photos.jsonl").write_text(json.dumps(photo) + "\n")
    monkeypatch.setenv("ANPR_SHARED", str(folder.parent))
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    from training.reader.train import CONFIG

    told = yaml.safe_load(CONFIG.read_text("utf-8"))
    told |= {"batch": 4, "workers": 0, "padded": 0.5, "shares": {SOURCE: 1.0}}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(told))
    return path


def test_a_run_is_ended_resumed_and_published(
    shared: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.reader import __main__ as command
    from training.reader import publish

    monkeypatch.setattr(command, "RUNS", tmp_path / "runs")
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "models.toml").write_text((paths.WEIGHTS / "models.toml").read_text())
    monkeypatch.setattr(publish.publish, "__defaults__", (weights,))
    arguments = ["--config", str(config), "--hours", "0.001"]
    assert command.main([*arguments, "--no-publish"]) == 0
    run = tmp_path / "runs" / "reader"
    before = json.loads((run / "log.jsonl").read_text().splitlines()[-1])["steps"]
    with pytest.raises(SystemExit, match="--resume"):
        command.main(arguments)
    first = (run / "checkpoint.pt").rename(tmp_path / "first.pt")
    shutil.copy(first, run / "checkpoint.pt")
    assert command.main(["--config", str(config), "--hours", "0.002", "--resume"]) == 0
    assert json.loads((run / "log.jsonl").read_text().splitlines()[-1])["steps"] > before

    alone = (run / "plate-reader.onnx").read_bytes()
    mean = ["--finish", "--no-publish", "--mean-with", str(first)]
    assert command.main(["--config", str(config), *mean]) == 0
    assert (run / "plate-reader.onnx").read_bytes() != alone

    entry = manifest.read(weights)["plate-reader"]
    reader = OnnxReader(entry.file)
    assert reader.read(plate_pixels("RK069AV")).lines  # legible or not, it reads
    assert {path.name for path in (run / "paddleocr").iterdir()} == {
        "inference.onnx",
        "inference.yml",
    }


def test_the_mean_of_checkpoints_is_exported(tmp_path: Path) -> None:
    import torch

    from training.reader import start

    for name, value in (("one", 1.0), ("other", 4.0)):
        state = {"kernel": torch.full((2,), value), "steps": torch.tensor(7)}
        torch.save({"average": state}, tmp_path / f"{name}.pt")
    one, other = (tmp_path / f"{name}.pt" for name in ("one", "other"))
    mean = start.mean([one, other])
    assert mean["kernel"].tolist() == [2.5, 2.5]
    assert mean["steps"] == 7
    assert start.mean([one])["kernel"].tolist() == [1.0, 1.0]


def test_the_graph_gives_what_the_network_gives(tmp_path: Path) -> None:
    import torch

    from training.reader import network, publish

    stock = manifest.find(paths.WEIGHTS, "ppocrv6-small")
    recogniser = network.Recogniser(network.pretrained_graph(stock.path)).eval()
    with torch.no_grad():
        for parameter in recogniser.parameters():  # as training does: no weight stays as it was
            parameter.add_(torch.randn_like(parameter) * 1e-3)
    target = tmp_path / "r.onnx"
    metadata = {"character": "\n".join(network.CHARACTERS[:-1]), "plate_width": "160"}
    publish._write(recogniser.to_onnx(), metadata, target)
    image = np.random.default_rng(0).normal(size=(1, 3, 48, 160)).astype(np.float32)
    with torch.no_grad():
        wanted = recogniser(torch.from_numpy(image)).softmax(2).numpy()
    found = OnnxReader(ModelFile(target))._model.run(image)
    assert np.abs(found - wanted).max() < 1e-4


def test_what_was_trained_can_be_pruned_again(shared: Path, tmp_path: Path) -> None:
    import torch

    from training.reader import crops, start, views

    stock = manifest.find(paths.WEIGHTS, "ppocrv6-small").path
    labelled = tmp_path / "crops.jsonl"
    crops.prepare(labelled, OnnxReader(manifest.find(paths.WEIGHTS, "plate-reader")))
    trained = start.network(stock, labelled, 0.5)
    torch.save({"average": trained.state_dict()}, tmp_path / "trained.pt")

    def count(network: torch.nn.Module) -> int:
        return sum(one.numel() for one in network.parameters())

    same = start.network(stock, labelled, 0.5, [tmp_path / "trained.pt"])
    assert all(
        torch.equal(weight, other)
        for weight, other in zip(trained.parameters(), same.parameters(), strict=True)
    )
    pruned = start.network(stock, labelled, 0.4, [tmp_path / "trained.pt"])
    straight = start.network(stock, labelled, 0.4)
    assert count(pruned) == count(straight) < count(trained)
    plates = [views.plain(plate_pixels(*lines)) for lines in PLATES]
    images = torch.from_numpy(input_tensor(plates, PLATE_WIDTH))
    wanted, found = (network.eval()(images).argmax(2) for network in (trained, pruned))
    assert (wanted == found).float().mean() > 0.9


def test_a_plate_of_two_lines_has_its_sign_among_the_targets() -> None:
    import torch

    from training.reader import network

    logits = torch.zeros(2, 20, network.CLASSES)
    logits[0, 3, network.CHARACTERS.index(TWO_LINES) + 1] = 24.0
    logits[1, 4, network.CHARACTERS.index("A") + 1] = 24.0
    logits[:, :, 0] += 12.0
    assert network.best_texts(logits) == [TWO_LINES, "A"]
    losses = network.ctc_loss(logits, [TWO_LINES, "A"])
    wrong = network.ctc_loss(logits, ["A", TWO_LINES])
    assert (losses < 0.2).all()
    assert (wrong > 5).all()


def test_plates_of_two_lines_may_have_a_share_of_their_own(shared: Path) -> None:
    from training.reader.batches import Batches
    from training.reader.crops import Labelled

    labelled = [
        Labelled("train-0.png", "AB12CDE", False, SOURCE),
        Labelled("train-4.png", "AB12CDE", True, SOURCE),
    ]

    def seen(shares: dict[str, float]) -> set[str]:
        batches = Batches(labelled, shares, size=8, padded=0, seed=1)
        groups = [group for batch in itertools.islice(batches, 8) for group in batch]
        assert {tuple(images.shape[1:3]) for images, _ in groups} == {(3, 48)}
        assert all(len(images) == len(texts) for images, texts in groups)
        return {text for _, texts in groups for text in texts}

    two_lines = f"{SOURCE}, two lines"
    assert seen({SOURCE: 1.0}) == {"AB12CDE", "", TWO_LINES}
    assert seen({SOURCE: 1.0, two_lines: 0.0}) == {"AB12CDE", ""}  # none at a glance
    assert TWO_LINES in seen({SOURCE: 0.0, two_lines: 1.0})
