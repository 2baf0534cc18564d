"""``python -m training.reader``: from the crops to ``weights/plate-reader.onnx``.

The run lies in ``runs/NAME``: the crops that can be trusted, a checkpoint, a log, and the ONNX
file with its folder for the package ``paddleocr``. The file is published if it reads the ``dev``
crops better than the one that is there.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from anpr.models import manifest
from anpr.ocr import OnnxReader
from anpr.weights import ModelFile
from training.paths import RUNS, WEIGHTS
from training.reader import crops, publish, start
from training.reader.train import CHECKPOINT, CONFIG, read_config, train


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    run = RUNS / options.name
    config = read_config(
        options.config, hours=options.hours, threads=options.threads, seed=options.seed
    )
    pretrained = _file(options.pretrained)
    if (run / CHECKPOINT).exists() and not (options.resume or options.finish):
        raise SystemExit(f"{run} holds a run: --resume goes on with it, --name begins another")
    labelled = run / "crops.jsonl"
    if not labelled.is_file():
        count = crops.prepare(labelled, OnnxReader(_file(options.judge or options.pretrained)))
        print(f"{count} crops to train on", flush=True)
    network = start.network(pretrained.path, labelled, config.keep, options.start)
    if not options.finish:
        train(network, labelled, run, config, resume=options.resume)
    checkpoints = [run / CHECKPOINT, *options.mean_with]
    file = publish.export(network, checkpoints, run / f"{publish.NAME}.onnx")
    publish.write_paddle_folder(file, run / "paddleocr")
    if not options.no_publish:
        print(json.dumps(publish.publish(file), indent=2))
    return 0


def _file(model: str) -> ModelFile:
    return manifest.find(WEIGHTS, model)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.reader", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--name", default="reader", help="folder under runs/")
    parser.add_argument("--config", type=Path, default=CONFIG, help="another config.yaml")
    parser.add_argument("--hours", type=float, help="of training")
    parser.add_argument("--threads", type=int, help="of Torch")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--resume", action="store_true", help="go on with a run that was ended")
    parser.add_argument("--finish", action="store_true", help="no training: publish what there is")
    parser.add_argument("--no-publish", action="store_true", help="leave weights/ as it is")
    parser.add_argument(
        "--start",
        type=Path,
        action="append",
        default=[],
        metavar="CHECKPOINT",
        help="begin with the weights of this checkpoint.pt, or with the mean of several",
    )
    parser.add_argument(
        "--mean-with",
        type=Path,
        action="append",
        default=[],
        metavar="CHECKPOINT",
        help="publish the mean of the weights and those of this checkpoint.pt",
    )
    parser.add_argument(
        "--pretrained", default="ppocrv6-small", help="model of the manifest, or an ONNX file"
    )
    parser.add_argument("--judge", help="model that judges labels; without it, --pretrained")
    return parser


if __name__ == "__main__":
    sys.exit(main())
