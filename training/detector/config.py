"""What a training run is told: a YAML file, single values replaced on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

DEFAULT = Path(__file__).with_name("config.yaml")


@dataclass(frozen=True, slots=True)
class Config:
    """One run. ``start`` is a ``.pt`` file, or None for the architecture alone.

    ``architecture`` is a YAML file, or the name of one that Ultralytics brings.

    ``shapes`` are heights and widths in pixels, each a multiple of 32: every batch is cut to one
    of them, drawn at random. None of them leaves the squares that Ultralytics makes. ``scenes`` is
    how many synthetic photos are trained on beside the shared ones. ``average_decay`` is the share
    of the old in the moving average of the weights, a step: 0.997 reaches back over 300 steps.
    """

    architecture: str = "yolo11n.yaml"
    start: Path | None = None
    hours: float | None = None
    epochs: int = 30
    closing_epochs: int = 4
    threads: int = 2
    workers: int = 1
    bfloat16: bool = True
    average_decay: float = 0.997
    shapes: tuple[tuple[int, int], ...] = ()
    scenes: int = 0
    ultralytics: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.closing_epochs < 0 or self.threads < 1 or self.workers < 0:
            raise ValueError("epochs and threads are at least 1, closing_epochs and workers 0")
        if not 0 <= self.average_decay < 1:
            raise ValueError("average_decay is at least 0 and under 1")
        if self.scenes < 0:
            raise ValueError("scenes is at least 0")
        if self.hours is not None and self.hours <= 0:
            raise ValueError("hours is more than 0, or absent")
        if any(side < 32 or side % 32 for shape in self.shapes for side in shape):
            raise ValueError("the sides of shapes are multiples of 32")


def from_mapping(values: Mapping[str, Any], base: Path) -> Config:
    """A configuration from a file's content; a relative ``start`` is taken from ``base``.

    Raises ``ValueError`` for a name that is not known, and for a value out of its range.
    """
    known = {f.name for f in fields(Config)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"unknown in the configuration: {', '.join(unknown)}")
    content = dict(values)
    if content.get("start") is not None:
        content["start"] = (base / content["start"]).resolve()
    named = content.get("architecture")
    if named is not None and (base / named).is_file():  # else one that Ultralytics brings
        content["architecture"] = str((base / named).resolve())
    content["shapes"] = tuple((int(h), int(w)) for h, w in content.get("shapes") or ())
    return Config(**content)


def load(path: Path, base: Path) -> Config:
    """The configuration in a YAML file. Raises ``OSError`` and ``ValueError``."""
    import yaml  # comes with Ultralytics; the rest of this module does without it

    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no mapping")
    return from_mapping(content, base)


def override(config: Config, **values: Any) -> Config:
    """The same configuration with the values that are not None replaced."""
    return replace(config, **{name: value for name, value in values.items() if value is not None})


def without_start(config: Config) -> Config:
    """The same run from the architecture alone."""
    return replace(config, start=None)
