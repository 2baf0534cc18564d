"""``python -m training.detector``: from the photos to ``weights/last.pt``.

``training/README.md`` tells how.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training import data, paths
from training.detector import config as configuration
from training.detector.config import Config

log = logging.getLogger(__name__)


def overrides(config: Config, data_yaml: Path, folder: Path, device: str) -> dict[str, Any]:
    """What Ultralytics' trainer is told for a new run."""
    on_cpu = device == "cpu"
    return {
        **config.ultralytics,
        "task": "detect",
        "model": config.architecture,
        "pretrained": str(config.start) if config.start else False,
        "data": str(data_yaml),
        "epochs": config.epochs,
        "close_mosaic": config.closing_epochs,
        "device": device,
        "amp": False if on_cpu else "bf16",  # 'True' downloads a model to try mixed precision with
        "workers": config.workers,
        "save_dir": str(folder),
        "exist_ok": True,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.detector", description=__doc__)
    parser.add_argument("--config", type=Path, default=configuration.DEFAULT)
    parser.add_argument("--name", default="detector", help="the run's folder under runs/")
    parser.add_argument("--epochs", type=int, help="at most so many passes")
    parser.add_argument("--hours", type=float, help="time for all passes, pauses counted in")
    parser.add_argument("--threads", type=int, help="of Torch, on a CPU")
    parser.add_argument("--device", default="cpu", help="cpu, 0, mps … as Ultralytics names them")
    parser.add_argument("--scenes", type=int, help="synthetic photos beside the shared ones")
    parser.add_argument("--start", type=Path, help="a .pt to start from")
    parser.add_argument("--scratch", action="store_true", help="start from the architecture alone")
    parser.add_argument("--photos", type=Path, help="a list like the shared photos.jsonl")
    parser.add_argument("--data", type=Path, help="a data.yaml in YOLO format instead of --photos")
    parser.add_argument("--weights", type=Path, default=paths.WEIGHTS / "last.pt")
    parser.add_argument("--onnx", type=Path, default=paths.WEIGHTS / "plate-detector.onnx")
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--resume", action="store_true", help="go on where the run was killed")
    step.add_argument("--wind-down", action="store_true", help="let a run end soon, and well")
    step.add_argument("--finish", action="store_true", help="publish what the run has, no training")
    parser.add_argument("--no-publish", action="store_true", help="leave weights/ as it is")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = _parser()
    options = parser.parse_args(arguments)
    config = configuration.load(options.config, paths.REPO)
    config = configuration.override(
        config,
        epochs=options.epochs,
        hours=options.hours,
        threads=options.threads,
        scenes=options.scenes,
        start=options.start,
    )
    if options.scratch or (config.start and not options.start and not config.start.is_file()):
        config = configuration.without_start(config)
    folder = paths.RUNS / options.name
    if options.wind_down:
        (folder / "wind-down").touch()
        return 0
    data_yaml = options.data or _dataset(options.photos, 0 if options.finish else config.scenes)
    if not options.finish:
        _train(config, data_yaml.resolve(), folder, options.device, resume=options.resume)
    if options.no_publish:
        return 0

    from training.detector.publish import better, publish

    checkpoints = [folder / "weights" / name for name in ("best.pt", "last.pt")]
    start = config.start.name if config.start else config.architecture
    scores = publish(
        checkpoints,
        options.weights,
        options.onnx,
        data_yaml,
        imgsz=int(config.ultralytics.get("imgsz", 320)),
        start=start,
    )
    chosen = better(scores)
    for path, score in scores.items():
        mark = "→" if path == chosen else " "
        sys.stdout.write(
            f"{mark} {os.path.relpath(path)}  precision {score.precision:.3f}  "
            f"recall {score.recall:.3f}  recall at precision 0.97 {score.recall_at_p97:.3f}  "
            f"mAP50 {score.map50:.4f}  mAP50-95 (the fitness) {score.map50_95:.4f}\n"
        )
    return 0


def _dataset(photos: Path | None, scenes: int) -> Path:
    """The ``data.yaml`` of a list of photos, or of the shared ones where none is given."""
    if photos is not None:
        return data.build(photos, paths.CACHE / f"detector-{photos.resolve().parent.name}")
    listing, out = paths.shared_data() / "photos.jsonl", paths.CACHE / "detector"
    missed = data.read_missed(data.UNLABELLED["train"])
    if scenes:
        from training.detector import scenes as making
        from training.synthesis import FontsMissing

        try:
            making.build(data.mended(data.read_photos(listing, ["train"]), missed), out, scenes)
        except FontsMissing as none:
            log.warning("no scenes: %s", none)
            scenes = 0
    return data.build(listing, out, missed, scenes=bool(scenes))


def _train(config: Config, data_yaml: Path, folder: Path, device: str, *, resume: bool) -> None:
    from training.detector.trainer import PlateTrainer

    told = overrides(config, data_yaml, folder, device)
    last = folder / "weights" / "last.pt"
    if resume:
        told |= {"resume": str(last), "model": str(last)}
    elif last.exists():
        raise SystemExit(f"{folder} holds a run: --resume goes on with it, --name begins another")
    folder.mkdir(parents=True, exist_ok=True)
    PlateTrainer(config, folder, told).train()


if __name__ == "__main__":
    raise SystemExit(main())
