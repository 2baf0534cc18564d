"""Every setting, from the environment (prefix ``ANPR_``), with its default and meaning.

Read by the pipeline and the rooms above it; the rooms below take plain arguments. Every limit is
finite by default. ``anpr config`` prints this table, and the README holds a copy of it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _weights_dir() -> Path:
    """``weights/`` of the checkout, or what was packed into the installed package."""
    package = Path(__file__).resolve().parent
    packed = package / "weights"
    return packed if packed.is_dir() else package.parent / "weights"


class Settings(BaseSettings):
    """Frozen: made once, at the front door."""

    model_config = SettingsConfigDict(env_prefix="ANPR_", frozen=True, extra="ignore")

    # --- models ---
    weights_dir: Path = Field(
        default_factory=_weights_dir, description="folder of models.toml and the model files"
    )
    detector: Literal["onnx", "ultralytics"] = Field(
        "onnx", description="runtime of the plate detector"
    )
    reader: Literal["onnx", "paddle"] = Field("onnx", description="runtime of the plate reader")
    detector_model: str = Field(
        "",
        description="manifest name, or path of an ONNX file; empty: plate-detector for onnx, "
        "last for ultralytics",
    )
    reader_model: str = Field(
        "plate-reader",
        description="manifest name, or path of a PP-OCR ONNX file that carries its characters; "
        "ppocrv6-small, of the extra ppocr, reads Chinese and Japanese as well",
    )
    reader_alphabet: str = Field(
        "", description="characters that may be read; empty: all letters and digits of the model"
    )
    paddle_engine: Literal["onnxruntime", "paddle"] = Field(
        "onnxruntime", description="what PaddleOCR runs its models on"
    )
    paddle_detection_model: str = Field(
        "",
        description="manifest name, or folder, of PaddleOCR's text detector; empty: "
        "PP-OCRv6 small, which is ONNX, so the engine paddle needs a folder in Paddle's format",
    )
    cache_dir: str = Field(
        "",
        description="folder of imported and compiled models; empty: anpr in $XDG_CACHE_HOME, "
        "or in ~/.cache",
    )
    cache_disabled: bool = Field(False, description="keep nothing in that folder, and read nothing")
    max_model_bytes: int = Field(
        1_000_000_000, ge=1, description="largest model that is imported or pulled, in bytes"
    )
    pull_timeout_s: float = Field(
        3600, gt=0, le=86_400, description="longest time for a model's download"
    )
    threads: int = Field(1, ge=1, le=64, description="threads of a model's run")
    load: Literal["eager", "lazy"] = Field(
        "lazy", description="load the models at start, or with the first photo"
    )
    model_idle_s: float = Field(
        900,
        ge=0,
        le=86_400,
        description="models that were not used for so long give their memory back; 0: never",
    )
    model_budget_mib: float = Field(
        0,
        ge=0,
        description="most memory that loaded models may take together, least recently used go "
        "first; 0: as much as they take",
    )

    # --- the image ---
    max_image_bytes: int = Field(10 * 1000 * 1000, ge=1, description="largest image, in bytes")
    max_pixels: int = Field(25_000_000, ge=1, description="most pixels an image may have")
    working_side_px: int = Field(
        1024, ge=320, le=8192, description="longer side of the image that is worked on"
    )
    detector_side_px: int = Field(
        320, ge=32, le=1280, multiple_of=32, description="longer side of the detector's input"
    )
    second_look_px: int = Field(
        640,
        ge=0,
        le=2560,
        description="longer side of a second look where no sure plate is found; 0: none",
    )
    closer_look_px: int = Field(
        48,
        ge=0,
        le=320,
        description="plates narrower than this in the detector's input get a closer look; 0: none",
    )
    detection_confidence: float = Field(
        0.35, ge=0, le=1, description="least confidence of a detected plate"
    )
    max_plates: int = Field(20, ge=1, le=300, description="most plates read in an image")
    padding_px: int = Field(
        5, ge=0, le=64, description="padding around a plate, in pixels of the working image"
    )
    crop_width_px: int = Field(640, ge=48, le=2048, description="widest plate crop for OCR")
    crop_height_px: int = Field(480, ge=48, le=2048, description="highest plate crop for OCR")
    max_candidates: int = Field(20, ge=1, le=100, description="largest top_n of a request")
    deadline_s: float = Field(
        30, gt=0, le=900, description="longest time for one image, queueing not counted"
    )

    # --- the service ---
    queue_size: int = Field(
        8, ge=0, le=1000, description="requests that may wait; more get 503 with Retry-After"
    )
    queue_timeout_s: float = Field(
        10, gt=0, le=300, description="longest wait in the queue before 503"
    )
    body_timeout_s: float = Field(
        30, gt=0, le=900, description="longest time for a request's body to arrive"
    )
    drain_s: float = Field(
        8, gt=0, le=600, description="time for the running request after SIGTERM"
    )
    memory_reject_percent: float = Field(
        90, gt=0, le=100, description="share of the memory limit above which requests get 503"
    )
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="keys that may read plates, comma-separated; none: open to all"
    )
    admin_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="keys that may manage models, comma-separated; none: nobody may"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="least level that is logged; DEBUG logs plate texts"
    )
    metrics: bool = Field(True, description="serve /metrics where the extra is installed")

    # --- images by URL ---
    fetch_enabled: bool = Field(True, description="fetch images by URL")
    fetch_https_only: bool = Field(False, description="refuse http URLs")
    fetch_timeout_s: float = Field(
        5, gt=0, le=60, description="longest time for a fetch, name look-up to last byte"
    )
    fetch_max_redirects: int = Field(3, ge=0, le=10, description="most redirects of a fetch")
    fetch_ports: Annotated[tuple[int, ...], NoDecode] = Field(
        (80, 443), description="ports that may be fetched from, comma-separated"
    )
    fetch_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="host names that may be fetched from, comma-separated; none: all public"
    )

    @property
    def cache_folder(self) -> Path | None:
        """Where models are kept for this user, whether it exists or not; ``None``: nowhere."""
        if self.cache_disabled:
            return None
        if self.cache_dir:
            return Path(self.cache_dir).expanduser()
        try:  # a relative XDG_CACHE_HOME is to be ignored (XDG Base Directory Specification)
            above = Path(os.environ.get("XDG_CACHE_HOME", ""))
            return (above if above.is_absolute() else Path.home() / ".cache") / "anpr"
        except RuntimeError:  # a user without a home
            return None

    @field_validator("api_keys", "admin_keys", "fetch_ports", "fetch_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value


class Row(NamedTuple):
    """A setting as people read it; secrets are shown as how many there are."""

    name: str
    value: str
    default: str
    meaning: str


def describe(settings: Settings) -> list[Row]:
    """Every setting with its value, default and meaning, in the order of this module."""
    blank = {name: field.get_default() for name, field in Settings.model_fields.items()}
    return [
        Row(
            name=f"ANPR_{name.upper()}",
            value=_shown(getattr(settings, name)),
            default="the package's own" if field.default_factory else _shown(blank[name]),
            meaning=field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        if value and isinstance(value[0], SecretStr):
            return f"{len(value)} set"
        return ",".join(map(str, value))
    return str(value)
