"""The parts that the settings name: a detector, a reader, and what gets images by URL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anpr.detect import OnnxDetector, UltralyticsDetector
from anpr.errors import ModelUnusable
from anpr.models import manifest
from anpr.models.store import store_folder
from anpr.ocr import OnnxReader
from anpr.onnx import Opener, open_session
from anpr.paddle import PaddleReader
from anpr.settings import Settings
from anpr.types import Detector, Reader
from anpr.weights import ModelFile

if TYPE_CHECKING:
    from anpr.fetch import Fetcher

_DETECTORS: Final = {"onnx": "plate-detector", "ultralytics": "last"}


def make_detector(settings: Settings, opener: Opener = open_session) -> Detector:
    """The detector that the settings name, not loaded yet. Raises ``ModelError``."""
    model = settings.detector_model or _DETECTORS[settings.detector]
    file = _find(settings, model)
    looks: dict[str, Any] = {
        "side": settings.detector_side_px,
        "second_side": settings.second_look_px,
        "closer_width": settings.closer_look_px,
        "confidence": settings.detection_confidence,
        "threads": settings.threads,
    }
    if settings.detector == "ultralytics":
        return UltralyticsDetector(file, **looks)
    if file.path.suffix == ".pt":
        raise ModelUnusable(
            f"The model '{model}' is a checkpoint: compile it (anpr models compile), or set "
            "ANPR_DETECTOR=ultralytics."
        )
    return OnnxDetector(file, opener=opener, **looks)


def make_reader(settings: Settings, opener: Opener = open_session) -> Reader:
    """The reader that the settings name, not loaded yet. Raises ``ModelError``."""
    file = _find(settings, settings.reader_model)
    if settings.reader == "paddle":
        cache = settings.cache_folder
        return PaddleReader(
            file,
            engine=settings.paddle_engine,
            threads=settings.threads,
            alphabet=settings.reader_alphabet or None,
            detection_model=_text_detector(settings),
            cache=cache / "paddle" if cache else None,
        )
    return OnnxReader(
        file, alphabet=settings.reader_alphabet or None, threads=settings.threads, opener=opener
    )


def _find(settings: Settings, model: str) -> ModelFile:
    store = store_folder(settings.cache_folder)
    return manifest.find(settings.weights_dir, model, store=store)


def _text_detector(settings: Settings) -> Path | None:
    """The folder of PaddleOCR's text detector: as it is, or that of a manifest, verified."""
    model = settings.paddle_detection_model
    if not model or "/" in model or Path(model).is_dir():
        return Path(model) if model else None
    file = _find(settings, model)
    store = store_folder(settings.cache_folder)
    entry = manifest.find_entry(settings.weights_dir, model, store=store)
    file.read()
    for part in entry.parts:
        replace(file, path=part.path, sha256=part.sha256).read()
    return file.path.parent


def make_fetcher(settings: Settings) -> Fetcher:
    """What gets images by URL, within the limits of the settings."""
    from anpr.fetch import Fetcher, FetchPolicy  # requests takes as long to import as the rest

    return Fetcher(
        FetchPolicy(
            https_only=settings.fetch_https_only,
            timeout_s=settings.fetch_timeout_s,
            max_bytes=settings.max_image_bytes,
            max_redirects=settings.fetch_max_redirects,
            ports=settings.fetch_ports,
            hosts=settings.fetch_hosts,
        )
    )
