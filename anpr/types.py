"""The values that travel between the rooms, and the two seams: ``Detector`` and ``Reader``.

Coordinates are pixels; the origin is the top left corner of the top left pixel, x runs right and
y runs down. A box covers ``[x1, x2) × [y1, y2)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias, overload

if TYPE_CHECKING:  # NumPy takes longer to import than this whole package
    import numpy as np
    from numpy.typing import NDArray

    Image: TypeAlias = NDArray[np.uint8]
    """Pixels, uint8, shape (H, W, 3), channel order BGR."""


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-parallel rectangle, in pixels."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        return max(0.0, self.x2 - self.x1)

    @property
    def height(self) -> float:
        return max(0.0, self.y2 - self.y1)

    @property
    def area(self) -> float:
        return self.width * self.height

    def scaled(self, x: float, y: float) -> Box:
        """The box in an image that is ``x`` times as wide and ``y`` times as high."""
        return Box(self.x1 * x, self.y1 * y, self.x2 * x, self.y2 * y)

    def moved(self, x: float, y: float) -> Box:
        return Box(self.x1 + x, self.y1 + y, self.x2 + x, self.y2 + y)

    def padded(self, pixels: float) -> Box:
        return Box(self.x1 - pixels, self.y1 - pixels, self.x2 + pixels, self.y2 + pixels)

    def clipped(self, width: float, height: float) -> Box:
        """The part of the box that lies inside an image of this size (its area may be 0)."""
        x1, y1 = min(max(self.x1, 0.0), width), min(max(self.y1, 0.0), height)
        x2, y2 = min(max(self.x2, x1), width), min(max(self.y2, y1), height)
        return Box(x1, y1, x2, y2)

    def iou(self, other: Box) -> float:
        """Intersection over union, 0 to 1."""
        overlap = Box(
            max(self.x1, other.x1),
            max(self.y1, other.y1),
            min(self.x2, other.x2),
            min(self.y2, other.y2),
        ).area
        union = self.area + other.area - overlap
        return overlap / union if union > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Detection:
    """A plate that a detector found; ``confidence`` is the model's, 0 to 1."""

    box: Box
    confidence: float


@dataclass(frozen=True, slots=True)
class Character:
    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to read a plate.

    ``text`` is upper case without separators, its ``lines`` joined from top to bottom.
    ``confidence`` is how likely the model holds exactly this text. ``region`` names a region
    whose format the text has, if any.
    """

    text: str
    confidence: float
    region: str | None = None
    lines: tuple[str, ...] = ()
    characters: tuple[Character, ...] = ()


@dataclass(frozen=True, slots=True)
class Region:
    code: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader saw on one crop: the text it holds for right, then others, likeliest first.

    Without candidates nothing could be read: the text is empty, its confidence 0.
    """

    candidates: tuple[Candidate, ...] = ()

    @property
    def best(self) -> Candidate:
        return self.candidates[0] if self.candidates else _NOTHING

    @property
    def text(self) -> str:
        return self.best.text

    @property
    def confidence(self) -> float:
        return self.best.confidence

    @property
    def lines(self) -> tuple[str, ...]:
        return self.best.lines

    @property
    def characters(self) -> tuple[Character, ...]:
        return self.best.characters


_NOTHING = Candidate("", 0.0)


@dataclass(frozen=True, slots=True)
class Plate:
    """A plate in a photo. ``box`` is in pixels of the image as sent, EXIF orientation applied."""

    text: str
    confidence: float
    detection_confidence: float
    box: Box
    lines: tuple[str, ...] = ()
    characters: tuple[Character, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    region: Region | None = None


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Size in pixels as sent (EXIF orientation applied), and the format by content."""

    width: int
    height: int
    format: str


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Resident memory in MiB: now, the peak so far, the limit, and the growth stage by stage.

    ``cgroup`` is what the kernel counts for the container, ``percent`` how much of the limit is
    taken by what it cannot take back; ``None`` where nobody counts.
    """

    rss: float
    peak: float
    limit: float | None
    stages: Mapping[str, float] = field(default_factory=dict)
    cgroup: float | None = None
    percent: float | None = None


@dataclass(frozen=True, slots=True)
class Result(Sequence[Plate]):
    """The plates of one image, surest detection first, with what it took to read them."""

    plates: tuple[Plate, ...]
    image: ImageInfo
    timings_ms: Mapping[str, float]
    memory_mib: MemoryUse
    models: Mapping[str, str]

    @overload
    def __getitem__(self, index: int) -> Plate: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Plate, ...]: ...
    def __getitem__(self, index: int | slice) -> Plate | tuple[Plate, ...]:
        return self.plates[index]

    def __len__(self) -> int:
        return len(self.plates)

    def __iter__(self) -> Iterator[Plate]:
        return iter(self.plates)


class Model(Protocol):
    """What detectors and readers have in common."""

    @property
    def name(self) -> str:
        """File name and the first digits of the SHA-256, such as ``last@3f9c0d12``."""

    def load(self) -> None:
        """Load the weights. Idempotent, safe from many threads. Raises ``ModelError``."""

    def unload(self) -> None:
        """Drop the weights; the next use loads them again."""


class Detector(Model, Protocol):
    def detect(self, image: Image) -> list[Detection]:
        """Plates in a BGR image, in its pixels, surest first."""


class Reader(Model, Protocol):
    def read(self, crop: Image, *, top_n: int = 1) -> Reading:
        """The text on the crop of one plate, BGR, with at most ``top_n`` candidates."""
