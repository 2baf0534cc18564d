"""Batches for training, endless and decided by seed and number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from anpr.ocr import input_tensor
from training.reader import crops, views
from training.reader.crops import Labelled
from training.reader.views import Sample
from training.synthesis import sample as draw

if TYPE_CHECKING:
    from anpr.types import Image

Batch = list[tuple[torch.Tensor, list[str]]]
"""Inputs (N, 3, 48, W) and their texts, for each width."""

DRAWN = "drawn"


class Batches(IterableDataset[Batch]):  # type: ignore[misc]
    """``size`` views in each batch, in one tensor for each width."""

    def __init__(
        self,
        labelled: Sequence[Labelled],
        shares: Mapping[str, float],
        *,
        size: int,
        padded: float,
        seed: int,
        first: int = 0,
    ) -> None:
        super().__init__()
        self._by_source: dict[str, list[Labelled]] = defaultdict(list)
        for one in labelled:
            rare = f"{one.source}, two lines"
            self._by_source[rare if one.two_lines and rare in shares else one.source].append(one)
        self._shares = {s: p for s, p in shares.items() if s == DRAWN or self._by_source.get(s)}
        self._size, self._padded, self._seed, self._first = size, padded, seed, first

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(0)
        torch.set_num_threads(1)
        worker = torch.utils.data.get_worker_info()
        start, step = (worker.id, worker.num_workers) if worker else (0, 1)
        number = self._first + start
        while True:
            yield self._batch(number)
            number += step

    def _batch(self, number: int) -> Batch:
        rng = np.random.default_rng((self._seed, number))
        padded = rng.random() < self._padded
        sources = list(self._shares)
        odds = np.array([self._shares[source] for source in sources])
        by_width: dict[int, list[tuple[Image, str]]] = defaultdict(list)
        for source in rng.choice(sources, self._size, p=odds / odds.sum()):
            sample = self._sample(rng, str(source))
            image, text = views.view(rng, sample, spoil=source != DRAWN, padded=padded)
            by_width[views.PADDED_WIDTH if padded else image.shape[1]].append((image, text))
        return [
            (torch.from_numpy(input_tensor([image for image, _ in of], width)), [t for _, t in of])
            for width, of in sorted(by_width.items())
        ]

    def _sample(self, rng: np.random.Generator, source: str) -> Sample:
        if source == DRAWN:
            plate = draw(int(rng.integers(2**62)))
            two = len(plate.lines) == 2
            return Sample(plate.image, plate.quad, plate.text, two, plate.rows if two else None)
        among = self._by_source[source]
        one = among[int(rng.integers(len(among)))]
        image = crops.load(one.file)
        height, width = image.shape[:2]
        x1, y1, x2, y2 = one.box or (0, 0, width, height)
        quad = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
        return Sample(image, quad, one.text, one.two_lines)


def loader(batches: Batches, workers: int) -> DataLoader[Batch]:
    return DataLoader(
        batches,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=6 if workers else None,
    )
