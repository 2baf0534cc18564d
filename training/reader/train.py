"""The training loop: resumes after a kill, and ends when its time is over."""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from anpr.ocr import TWO_LINES, input_tensor
from training.reader import crops, dev, views
from training.reader.batches import Batch, Batches, loader
from training.reader.network import Recogniser, best_texts, ctc_loss

CHECKPOINT = "checkpoint.pt"
CONFIG = Path(__file__).with_name("config.yaml")
_WARM_UP = 200  # steps
_SAVE_S = 240.0  # between checkpoints, each measured
_GRADIENT_NORM = 2.0
_SHORT = 4  # characters: a text counts as at least so long
_BOUND = 6.0  # nats a character


@dataclass(frozen=True)
class Config:
    keep: float
    hours: float
    threads: int
    workers: int
    batch: int
    learning_rate: float
    weight_decay: float
    average: float
    padded: float
    seed: int
    shares: dict[str, float]


def read_config(path: Path = CONFIG, **changes: Any) -> Config:
    """The configuration with those of ``changes`` that are not ``None``."""
    told = yaml.safe_load(path.read_text("utf-8"))
    return Config(**told | {key: value for key, value in changes.items() if value is not None})


def train(network: Recogniser, labelled: Path, run: Path, config: Config, *, resume: bool) -> None:
    """Train ``network`` in place; ``run`` gets ``checkpoint.pt`` and ``log.jsonl``.

    Ends after ``config.hours`` of training in all, over resumptions, with the averaged weights in
    the network.
    """
    # oneDNN compiles an operation for each size of a group of images and keeps 1,024 of them by
    # default: with all of them a step takes 0.88 of the time
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "20000")
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    run.mkdir(parents=True, exist_ok=True)
    network.to(memory_format=torch.channels_last)
    network.train()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    average = {name: value.clone() for name, value in network.state_dict().items()}
    step, spent = 0, 0.0
    checkpoint = run / CHECKPOINT
    if resume and checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        average, step, spent = state["average"], state["step"], state["spent"]
    batches = Batches(
        crops.read_list(labelled),
        config.shares,
        size=config.batch,
        padded=config.padded,
        seed=config.seed,
        first=step,
    )
    whole = config.hours * 3600
    losses: list[float] = []
    resumed_at, saved_at, spent_before = time.monotonic(), time.monotonic(), spent
    for batch in loader(batches, config.workers):
        progress = spent / whole
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(step, progress)
        losses.append(_step(network, optimizer, batch))
        step += 1
        _blend(average, network.state_dict(), min(config.average, (1 + step) / (10 + step)))
        spent = spent_before + time.monotonic() - resumed_at
        if time.monotonic() - saved_at >= _SAVE_S:
            _save(checkpoint, network, optimizer, average, step, spent)
            _note(run, network, average, step, spent, losses)
            losses, saved_at = [], time.monotonic()
    _save(checkpoint, network, optimizer, average, step, whole)
    _note(run, network, average, step, whole, losses)
    network.load_state_dict(average)


def _schedule(step: int, progress: float) -> float:
    return min(1.0, (step + 1) / _WARM_UP) * (
        0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))
    )


def _step(network: Recogniser, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
    parts = []
    for images, texts in batch:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(images.contiguous(memory_format=torch.channels_last))
        lengths = torch.tensor([max(_SHORT, len(text)) for text in texts])
        parts.append(ctc_loss(logits, texts) / lengths)
    nats = torch.cat(parts)
    # what cannot be read, or is wrongly labelled, pulls less, but never not at all
    loss = (_BOUND * (1 - torch.exp(-nats / _BOUND))).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), _GRADIENT_NORM)
    optimizer.step()
    return float(loss.detach())


def _blend(average: dict[str, Tensor], now: dict[str, Tensor], share: float) -> None:
    for name, value in average.items():
        if value.is_floating_point():
            value.lerp_(now[name], 1 - share)


def _save(
    path: Path,
    network: Recogniser,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    step: int,
    spent: float,
) -> None:
    draft = path.with_suffix(".partial")
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**state, "average": average, "step": step, "spent": spent}, draft)
    draft.replace(path)


def _note(
    run: Path,
    network: Recogniser,
    average: dict[str, Tensor],
    step: int,
    spent: float,
    losses: list[float],
) -> None:
    """A line of the log: the loss since the last one, and how the averaged weights read now."""
    own = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(average)
    exact = dev_accuracy(network)
    network.load_state_dict(own)
    line = {
        "minutes": round(spent / 60, 1),
        "steps": step,
        "loss": round(sum(losses) / max(1, len(losses)), 4),
        "dev": {source: round(share, 4) for source, share in exact.items()},
    }
    print(json.dumps(line), flush=True)
    with (run / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")


def dev_accuracy(network: Recogniser, every: int = 3) -> dict[str, float]:
    """Exact share by source of every third ``dev`` crop, seen whole, without the reader's ways.

    Plates of two lines count as right when their sign is seen: a quick look, no measurement.
    """
    network.eval()
    right: dict[str, list[bool]] = {}
    rows = [row for row in crops.rows("dev") if row["text"]][::every]
    for start in range(0, len(rows), 64):
        some = rows[start : start + 64]
        images = [views.plain(crops.load(row["file"])) for row in some]
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            inputs = torch.from_numpy(input_tensor(images, images[0].shape[1]))
            texts = best_texts(network(inputs))
        for row, text in zip(some, texts, strict=True):
            sign = TWO_LINES if dev.two_lines(row["text"]) else row["text"]
            right.setdefault(row["source"], []).append(text in (row["text"], sign))
    network.train()
    return {source: sum(of) / len(of) for source, of in right.items()}
