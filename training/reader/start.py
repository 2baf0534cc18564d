"""The network that training begins with: PP-OCR's, cut to the task."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch

from anpr.ocr import PLATE_WIDTH, input_tensor
from training.reader import crops, pruning, views
from training.reader.network import Recogniser, pretrained_graph

_CROPS: Final = 256  # that the importance of channels is judged by


def network(
    pretrained: Path, labelled: Path, keep: float, checkpoint: Path | None = None
) -> Recogniser:
    """PP-OCR's recogniser with the head of a plate and that share of its hidden channels.

    With a ``checkpoint`` of an earlier run, that run's averaged weights. If it kept more channels,
    they are pruned.
    """
    graph = pretrained_graph(pretrained)
    widths = pruning.widths(graph, keep)
    if checkpoint is not None:
        weights = torch.load(checkpoint, weights_only=True)["average"]
        graph = Recogniser(graph).with_weights(weights)
    if keep < 1:
        some = crops.read_list(labelled)
        drawn = np.random.default_rng(0).choice(len(some), min(_CROPS, len(some)), replace=False)
        images = [views.plain(crops.load(some[i].file)) for i in drawn]
        batches = [
            input_tensor(images[start : start + 32], PLATE_WIDTH)
            for start in range(0, len(images), 32)
        ]
        pruning.prune(graph, widths, batches)
    return Recogniser(graph)
