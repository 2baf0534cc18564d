"""``Recognizer``: the one way that an image goes, whichever door it came through.

decode → detect → crop → read. After each stage its time and its growth in memory are noted, what
later stages do not need is dropped, and garbage is collected.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from anpr import formats, imaging, memory
from anpr.deadline import Deadline, current
from anpr.detect import OnnxDetector, UltralyticsDetector
from anpr.errors import DeadlineExceeded
from anpr.imaging import Photo
from anpr.models import manifest
from anpr.ocr import OnnxReader
from anpr.paddle import PaddleReader
from anpr.settings import Settings
from anpr.types import Box, Detection, Detector, MemoryUse, Plate, Reader, Reading, Result

if TYPE_CHECKING:
    from anpr.fetch import Fetcher
    from anpr.types import Image


class Recognizer:
    """Finds and reads the plates of a photo.

    Making one costs nothing: models load with ``load()`` or the first photo. It may be used from
    many threads; photos are read one at a time, since memory is what is scarce.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        detector: Detector | None = None,
        reader: Reader | None = None,
    ) -> None:
        self._settings = settings or Settings()
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._detector = detector
        self._reader = reader
        self._loaded = False

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def loaded(self) -> bool:
        return self._loaded

    @property
    def models(self) -> Mapping[str, str]:
        """Names of the models with the first digits of their hashes. Raises ``ModelError``."""
        detector, reader = self._models()
        return {"detector": detector.name, "reader": reader.name}

    def load(self) -> None:
        """Load both models now. Raises ``ModelError``."""
        for model in self._models():
            model.load()
        self._loaded = True

    def unload(self) -> None:
        """Drop both models and give their memory back; the next photo loads them again."""
        with self._turn:
            memory.unfreeze()
            for model in self._models():
                model.unload()
            self._loaded = False
        memory.release()

    def read(
        self,
        image: bytes | Image,
        *,
        top_n: int = 1,
        regions: Iterable[str] = (),
        min_confidence: float = 0.0,
        deadline: Deadline | None = None,
    ) -> Result:
        """The plates of one photo, surest detection first.

        ``image`` is the bytes of a JPEG, PNG, WebP, BMP, TIFF or GIF file, or a uint8 BGR array
        of shape (H, W, 3). A plate that is found but cannot be read has the text "" and
        confidence 0; ``min_confidence`` leaves out plates that are read less surely. ``top_n``
        is how many candidates each plate may have; those that look like plates of ``regions``
        (codes such as "pl", groups such as "eu") come first. Without a ``deadline`` of the
        caller's, that of the settings holds.

        Raises ``ImageError``, ``ModelError``, ``InvalidOption`` or ``DeadlineExceeded``.
        """
        among = formats.expand(regions)
        deadline = deadline or Deadline(self._settings.deadline_s)
        with self._my_turn(deadline), deadline:
            self.load()
            stages = _Stages()
            with stages.measure("decode"):
                photo = self._decode(image)
            del image
            with stages.measure("detect"):
                found = self._models()[0].detect(photo.working)[: self._settings.max_plates]
            with stages.measure("crop"):
                crops = [self._crop(photo, detection) for detection in found]
                boxes = [detection.box.scaled(*photo.scale) for detection in found]
                info = photo.info
                del photo
            with stages.measure("read"):
                crops.reverse()  # each crop is dropped as soon as it is read
                plates = [
                    self._read(crops.pop(), detection, box, top_n, among)
                    for detection, box in zip(found, boxes, strict=True)
                ]
        return Result(
            plates=tuple(plate for plate in plates if plate.confidence >= min_confidence),
            image=info,
            timings_ms=stages.timings_ms(),
            memory_mib=stages.memory_mib(),
            models=self.models,
        )

    def _models(self) -> tuple[Detector, Reader]:
        with self._lock:
            if self._detector is None:
                self._detector = make_detector(self._settings)
            if self._reader is None:
                self._reader = make_reader(self._settings)
            return self._detector, self._reader

    @contextmanager
    def _my_turn(self, deadline: Deadline) -> Iterator[None]:
        left = deadline.remaining()
        if not self._turn.acquire(timeout=-1 if left is None else left):
            raise DeadlineExceeded
        try:
            yield
        finally:
            self._turn.release()

    def _decode(self, image: bytes | Image) -> Photo:
        settings = self._settings
        pixels, side = settings.max_pixels, settings.working_side_px
        if isinstance(image, bytes | bytearray | memoryview):
            return imaging.decode(bytes(image), max_pixels=pixels, max_side_px=side)
        return imaging.from_pixels(image, max_pixels=pixels, max_side_px=side)

    def _crop(self, photo: Photo, detection: Detection) -> Image:
        settings = self._settings
        return photo.crop(
            detection.box,
            padding_px=settings.padding_px,
            max_width=settings.crop_width_px,
            max_height=settings.crop_height_px,
        )

    def _read(
        self, crop: Image, detection: Detection, box: Box, top_n: int, among: frozenset[str]
    ) -> Plate:
        # a text that fits may stand further down than the caller wants to see
        sought = max(top_n, _SOUGHT) if among else top_n
        reading = self._models()[1].read(crop, top_n=sought)
        ranked = Reading(tuple(formats.rank(reading.candidates, among)[:top_n]))
        return Plate(
            text=ranked.text,
            confidence=ranked.confidence,
            detection_confidence=detection.confidence,
            box=box,
            lines=ranked.lines,
            characters=ranked.characters,
            candidates=ranked.candidates,
            region=formats.region_of(ranked.text, among),
        )


class _Stages:
    """The time and the growth in resident memory of each stage of one photo."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._seconds: dict[str, float] = {}
        self._growth: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Ends with a collection: what the stage held is gone before the next one asks for more."""
        current().check()
        rss, started = memory.rss_mib(), time.perf_counter()
        yield
        memory.collect()
        self._seconds[stage] = time.perf_counter() - started
        self._growth[stage] = memory.rss_mib() - rss

    def timings_ms(self) -> dict[str, float]:
        timings = {stage: seconds * 1000 for stage, seconds in self._seconds.items()}
        return timings | {"total": (time.perf_counter() - self._started) * 1000}

    def memory_mib(self) -> MemoryUse:
        return MemoryUse(
            rss=memory.rss_mib(),
            peak=memory.peak_mib(),
            limit=memory.limit_mib(),
            stages=dict(self._growth),
        )


_SOUGHT: Final = 10  # candidates that are ranked where regions are given

_DETECTORS: Final[dict[str, tuple[type[OnnxDetector | UltralyticsDetector], str]]] = {
    "onnx": (OnnxDetector, "plate-detector"),
    "ultralytics": (UltralyticsDetector, "last"),
}


def make_detector(settings: Settings) -> Detector:
    """The detector that the settings name, not loaded yet. Raises ``ModelError``."""
    kind, model = _DETECTORS[settings.detector]
    return kind(
        manifest.find(settings.weights_dir, settings.detector_model or model),
        side=settings.detector_side_px,
        second_side=settings.second_look_px,
        closer_width=settings.closer_look_px,
        confidence=settings.detection_confidence,
        threads=settings.threads,
    )


def make_reader(settings: Settings) -> Reader:
    """The reader that the settings name, not loaded yet. Raises ``ModelError``."""
    file = manifest.find(settings.weights_dir, settings.reader_model)
    if settings.reader == "paddle":
        folder = settings.paddle_detection_model
        return PaddleReader(
            file,
            engine=settings.paddle_engine,
            threads=settings.threads,
            detection_model=Path(folder) if folder else None,
        )
    return OnnxReader(file, threads=settings.threads)


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


def read(image: bytes | Image) -> Result:
    """Read one photo with a shared ``Recognizer`` of the default settings."""
    return _shared().read(image)


@functools.cache
def _shared() -> Recognizer:
    return Recognizer()
