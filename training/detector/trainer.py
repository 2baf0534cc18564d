"""Ultralytics' trainer, made fit for a CPU and for a time budget.

What differs from ``DetectionTrainer``:

- On a CPU the forward pass runs in bfloat16 and everything lies in memory channels-last, which
  Ultralytics offers for CUDA only (``training/README.md`` has what it gains). The weights, the
  optimiser and the validation stay float32.
- Batches are prepared in a process of their own on a CPU as well.
- Batches are cut to the shapes that photos have once they are letterboxed (``Config.shapes``): a
  model that saw nothing but squares loses plates on the flat input of a 16:9 photo.
- The number of passes and the learning rate follow ``schedule.Budget``, and the moving average of
  the weights is one for a run so short.
- What a lighter architecture can take over from the start follows ``transfer``.

Ultralytics is AGPL-3.0; only the reference runtime and the training use it.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("YOLO_AUTOINSTALL", "false")  # a failed import must not start pip
os.environ.setdefault("YOLO_VERBOSE", "false")  # a line a pass is enough, see _count

import torch
import ultralytics.engine.trainer as engine
from torch import optim
from ultralytics.models.yolo.detect import DetectionTrainer

from training.detector.config import Config
from training.detector.schedule import Budget, learning_rate_factor
from training.detector.transfer import carried_over

KEPT_AREA = 0.5
"""Half a plate is still worth finding, less of it is not a plate any more."""

METRICS = tuple(f"metrics/{name}(B)" for name in ("precision", "recall", "mAP50", "mAP50-95"))
"""What Ultralytics calls its figures for boxes."""

log = logging.getLogger(__name__)


@contextmanager
def _bfloat16_on_cpu() -> Iterator[None]:
    """Replace the trainer's ``autocast``, which refuses bfloat16 on a CPU, while it trains."""
    stock = engine.autocast
    engine.autocast = lambda *_args, **_kwargs: torch.autocast("cpu", dtype=torch.bfloat16)
    try:
        yield
    finally:
        engine.autocast = stock


def cut(batch: dict[str, Any], top: int, left: int, height: int, width: int) -> dict[str, Any]:
    """A training batch with every image cut to one window, given in pixels.

    ``img`` is (N, 3, H, W); ``bboxes`` are (M, 4): centre x, centre y, width, height from 0 to 1.
    Boxes are clipped to the window; one that keeps less than ``KEPT_AREA`` of its area is dropped.
    """
    image = batch["img"]
    whole = torch.tensor([image.shape[3], image.shape[2]], device=image.device)
    size = torch.tensor([width, height], device=image.device)
    corner = torch.tensor([left, top], device=image.device)
    centre, extent = batch["bboxes"][:, :2] * whole, batch["bboxes"][:, 2:] * whole
    low = (centre - extent / 2 - corner).clamp(min=0).minimum(size)
    high = (centre + extent / 2 - corner).clamp(min=0).minimum(size)
    kept = (high - low).prod(1) >= KEPT_AREA * extent.prod(1)
    boxes = torch.cat([(low + high) / 2 / size, (high - low) / size], dim=1)
    return {
        **batch,
        "img": image[:, :, top : top + height, left : left + width],
        "bboxes": boxes[kept],
        "cls": batch["cls"][kept],
        "batch_idx": batch["batch_idx"][kept],
    }


class PlateTrainer(DetectionTrainer):  # type: ignore[misc,unused-ignore]
    """Trains one run in ``folder``; its checkpoints are ``folder/weights/{last,best}.pt``."""

    model: Any  # a name first, the network once it is set up

    def __init__(self, config: Config, folder: Path, overrides: dict[str, Any]) -> None:
        self.config = config
        self.budget = Budget(
            most=config.epochs,
            budget_s=None if config.hours is None else config.hours * 3600.0,
            closing=config.closing_epochs,
            folder=folder,
        )
        if overrides.get("resume"):
            self.budget.restore()
        super().__init__(overrides=overrides)
        self.on_cpu = self.device.type == "cpu"
        if self.on_cpu:
            torch.set_num_threads(config.threads)
            self.args.workers = config.workers
        self.add_callback("on_train_start", _average)
        self.add_callback("on_train_epoch_start", _plan)
        self.add_callback("on_fit_epoch_end", _count)
        self._epoch_began_s: float | None = None
        self._random = random.Random(self.args.seed)

    def train(self) -> None:
        if self.on_cpu and self.config.bfloat16:
            with _bfloat16_on_cpu():
                super().train()
        else:
            super().train()

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        model = super().get_model(cfg, weights, verbose)
        if weights is not None:
            state = model.state_dict()
            filled, missing = carried_over(weights.float().state_dict(), state)
            model.load_state_dict({**state, **filled})
            log.info("%d tensors taken over, %d to be trained anew", len(filled), len(missing))
        return model

    def setup_model(self) -> Any:
        checkpoint = super().setup_model()
        if self.on_cpu:
            self.model = self.model.to(memory_format=torch.channels_last)
        return checkpoint

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch = super().preprocess_batch(batch)
        if self.config.shapes:
            rows, columns = batch["img"].shape[2:]
            height, width = self._random.choice(self.config.shapes)
            height, width = min(height, rows), min(width, columns)
            top = self._random.randint(0, rows - height)
            left = self._random.randint(0, columns - width)
            batch = cut(batch, top, left, height, width)
        if self.on_cpu:
            batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
        return batch

    def _setup_scheduler(self) -> None:
        final = self.args.lrf
        self.lf = lambda epoch: learning_rate_factor(epoch, self.epochs, final)
        self.scheduler = optim.lr_scheduler.LambdaLR(self.optimizer, lr_lambda=self.lf)


def _average(trainer: PlateTrainer) -> None:
    # Ultralytics' average reaches back over 10,000 steps in the long run and hardly at all in the
    # first 2,000, which is all that a run on a CPU has: mAP50-95 then jumps by 0.05 a pass
    decay = trainer.config.average_decay
    trainer.ema.decay = lambda updates: min(decay, (1 + updates) / (10 + updates))


def _plan(trainer: PlateTrainer) -> None:
    trainer._epoch_began_s = time.monotonic()
    trainer.epochs = trainer.args.epochs = trainer.budget.epochs(trainer.epoch)
    trainer.args.close_mosaic = min(trainer.config.closing_epochs, trainer.epochs)


def _count(trainer: PlateTrainer) -> None:
    # Ultralytics calls once more at the very end, after its final validation
    if trainer._epoch_began_s is not None:
        seconds = time.monotonic() - trainer._epoch_began_s
        trainer._epoch_began_s = None
        trainer.budget.add(seconds)
        log.info(
            "pass %d of about %d: %.0f s, learning rate %.2g, loss %s, "
            "precision %.3f, recall %.3f, mAP50 %.4f, mAP50-95 %.4f",
            trainer.epoch + 1,
            trainer.budget.epochs(trainer.epoch + 1),
            seconds,
            max(trainer.lr.values()),
            " ".join(f"{float(value):.3f}" for value in trainer.tloss.values()),
            *(trainer.metrics[name] for name in METRICS),
        )
