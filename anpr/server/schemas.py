"""The shapes of the API's answers, for its description (OpenAPI). Tests hold answers to them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Confidence = Field(ge=0, le=1)


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ImageInfo(Model):
    """As sent, EXIF orientation applied."""

    width: int = Field(ge=1, description="pixels")
    height: int = Field(ge=1, description="pixels")
    format: str = Field(description="by content", examples=["jpeg"])


class Box(Model):
    """Pixels of the image as sent, origin top left; covers x1 ≤ x < x2, y1 ≤ y < y2."""

    x1: int
    y1: int
    x2: int
    y2: int


class Character(Model):
    text: str
    confidence: float = Confidence


class Candidate(Model):
    text: str
    confidence: float = Confidence
    region: str | None = Field(description="whose format the text has, if any")


class Region(Model):
    code: str
    confidence: float = Confidence


class Plate(Model):
    """Text is upper case without separators; "" with confidence 0 where nothing can be read."""

    text: str
    confidence: float = Confidence
    detection_confidence: float = Confidence
    box: Box
    lines: list[str]
    characters: list[Character]
    candidates: list[Candidate]
    region: Region | None


class Memory(Model):
    """MiB; null where there is no container with a limit."""

    rss: float = Field(description="resident memory of the process")
    peak: float = Field(description="the most it had so far")
    limit: float | None = Field(description="what the container may use")
    cgroup: float | None = Field(description="what it uses, page cache included")
    percent: float | None = Field(
        description="of the limit, what the kernel cannot take back; see memory_reject_percent"
    )


class MemoryByStage(Memory):
    stages: dict[str, float]


class PlatesAnswer(Model):
    """Plates, surest detection first; none is an empty list."""

    image: ImageInfo
    plates: list[Plate]
    timings_ms: dict[str, float]
    memory_mib: MemoryByStage
    models: dict[str, str]


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str


class ModelState(Model):
    loaded: bool
    names: dict[str, str] = Field(description="file name and first digits of the SHA-256")
    error: str | None = Field(description="why the models cannot be used, if they cannot")


class QueueState(Model):
    inside: int = Field(description="requests that are served, wait or send their body")
    places: int


class Health(Model):
    status: str = Field(examples=["ok", "draining"])
    version: str
    uptime_s: float
    models: ModelState
    memory_mib: Memory
    queue: QueueState


class Probe(Model):
    status: str = Field(examples=["ok"])


class LoadedModel(Model):
    role: str = Field(examples=["detector", "reader"])
    name: str = Field(examples=["plate-detector@3f9c0d12"])


class UsedModels(Model):
    loaded: bool
    models: list[LoadedModel]


class AvailableModel(Model):
    """As a manifest has it; ``state`` by its size here, by its hash from ``verify``."""

    name: str
    kind: str = Field(examples=["detector", "reader"])
    file: str
    bytes: int
    sha256: str
    licence: str
    source: str
    origin: str = Field(examples=["package", "store"])
    state: str = Field(examples=["present", "missing", "damaged", "unsafe"])
    input_size: list[int] | None = Field(description="height and width in pixels")
    alphabet: str | None
    metrics: dict[str, float]


class StoreStatistics(Model):
    models: int
    bytes: int
    largest_bytes: int
    kinds: dict[str, int]
    formats: dict[str, int]
    origins: dict[str, int]
    states: dict[str, int]
    health: str = Field(examples=["good", "large", "cluttered"])
    store_bytes: int = Field(description="imported models and compiled forms")
    reclaimable_bytes: int = Field(description="what prune would free, as far as sizes tell")
    reclaimable_files: int


class Models(UsedModels):
    available: list[AvailableModel]
    statistics: StoreStatistics


class ModelVerdict(Model):
    name: str
    state: str = Field(examples=["ok", "missing", "damaged", "unsafe"])


class Verified(Model):
    whole: bool = Field(description="all of them are")
    models: list[ModelVerdict]


class Removed(Model):
    reason: str = Field(examples=["corrupt", "stale", "partial", "double"])
    file: str
    bytes: int


class Pruned(Model):
    freed_bytes: int
    removed: list[Removed]


class Cleared(Model):
    freed_bytes: int


PLATES_EXAMPLE: dict[str, Any] = {
    "image": {"width": 1280, "height": 720, "format": "jpeg"},
    "plates": [
        {
            "text": "RK069AV",
            "confidence": 0.97,
            "detection_confidence": 0.91,
            "box": {"x1": 396, "y1": 340, "x2": 599, "y2": 386},
            "lines": ["RK069AV"],
            "characters": [{"text": "R", "confidence": 0.99}],
            "candidates": [{"text": "RK069AV", "confidence": 0.97, "region": None}],
            "region": None,
        }
    ],
    "timings_ms": {
        "fetch": 0.0,
        "decode": 6.1,
        "detect": 12.9,
        "crop": 0.3,
        "read": 7.2,
        "total": 27.0,
    },
    "memory_mib": {
        "rss": 210.0,
        "peak": 231.0,
        "limit": 1024.0,
        "cgroup": 243.0,
        "percent": 17.4,
        "stages": {"decode": 3.4, "detect": 0.2, "crop": 0.1, "read": 0.1},
    },
    "models": {"detector": "plate-detector@3f9c0d12", "reader": "plate-reader@77ab1e90"},
}
