"""The network that training begins with: PP-OCR's, cut to the task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from anpr.ocr import PLATE_WIDTH, input_tensor
from training.reader import crops, pruning, views
from training.reader.network import Recogniser, pretrained_graph

_CROPS: Final = 256  # that the importance of channels is judged by


def mean(checkpoints: Sequence[Path]) -> dict[str, Tensor]:
    """The averaged weights of checkpoints of one shape; of several their mean.

    Of a run and the one that it began with it reads better than either (Wortsman et al., "Model
    soups", ICML 2022).
    """
    several = [torch.load(one, weights_only=True)["average"] for one in checkpoints]
    return {
        name: sum(one[name] for one in several) / len(several)
        if value.is_floating_point()
        else value
        for name, value in several[0].items()
    }


def network(
    pretrained: Path, labelled: Path, keep: float, checkpoints: Sequence[Path] = ()
) -> Recogniser:
    """PP-OCR's recogniser with the head of a plate and that share of its hidden channels.

    With ``checkpoints`` of earlier runs, their weights' mean. If they kept more channels, these
    are pruned.
    """
    graph = pretrained_graph(pretrained)
    widths = pruning.widths(graph, keep)
    if checkpoints:
        graph = Recogniser(graph).with_weights(mean(checkpoints))
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
