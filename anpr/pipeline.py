"""``Recognizer``: the one way that an image goes, whichever door it came through.

decode → detect → crop → read. After each stage its time and its growth in memory are noted, what
later stages do not need is dropped, and garbage is collected.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from anpr import formats, imaging, memory
from anpr.deadline import Deadline
from anpr.errors import DeadlineExceeded, ModelError
from anpr.imaging import Photo
from anpr.models import compiled
from anpr.models.compiled import CompiledForms
from anpr.models.residency import Residency
from anpr.parts import make_detector as make_detector
from anpr.parts import make_fetcher as make_fetcher
from anpr.parts import make_reader as make_reader
from anpr.settings import Settings
from anpr.stages import Stages
from anpr.types import Box, Detection, Detector, Model, Plate, Reader, Reading, Result

if TYPE_CHECKING:
    from anpr.types import Image


class Recognizer:
    """Finds and reads the plates of a photo.

    Making one costs nothing: models load with ``load()`` or the first photo. It may be used from
    many threads; photos are read one at a time, since memory is what is scarce. Models that were
    idle for longer than ``settings.model_idle_s`` go when somebody calls ``unload_idle()``, and
    where both together would break ``settings.model_budget_mib``, each comes for its stage alone.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        detector: Detector | None = None,
        reader: Reader | None = None,
        residency: Residency | None = None,
    ) -> None:
        self._settings = settings or Settings()
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._detector = detector
        self._reader = reader
        self._given = detector, reader
        cache, weights = self._settings.cache_folder, self._settings.weights_dir
        self._forms = CompiledForms(cache and cache / compiled.FOLDER, weights / compiled.FOLDER)
        # several recognisers may share one, and its budget
        self._residency = residency or Residency(
            budget_mib=self._settings.model_budget_mib, idle_s=self._settings.model_idle_s
        )

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def loaded(self) -> bool:
        """Are both models in memory? Never waits."""
        models = self._made()
        return len(models) == 2 and all(map(self._residency.holds, models))

    @property
    def holding(self) -> bool:
        """Is any of them?"""
        return any(map(self._residency.holds, self._made()))

    @property
    def models(self) -> Mapping[str, str]:
        """Names of the models with the first digits of their hashes. Raises ``ModelError``."""
        detector, reader = self._models()
        return {"detector": detector.name, "reader": reader.name}

    def load(self) -> None:
        """Load both models now, or as many as the budget allows. Raises ``ModelError``.

        Waits for the photo that is being read.
        """
        with self._turn:
            self._load()

    def unload(self, *, wait: bool = True) -> bool:
        """Drop both models and give their memory back; the next photo loads them again.

        What the settings name is looked up anew then: models can be replaced while a service runs.
        Waits for the photo that is being read, or without ``wait`` does nothing. What
        ``resident()`` holds stays: whether all has gone is the answer.
        """
        if not self._turn.acquire(blocking=wait):
            return False
        try:
            return self._unload(idle=False)
        finally:
            self._turn.release()

    def unload_idle(self) -> bool:
        """Drop what was idle for too long, if no photo is being read; whether anything went.

        For front doors, which have a clock, or at least requests that are no photos. A photo
        needs both models, so ``read`` does not ask.
        """
        if self._residency.next_idle_s() != 0 or not self._turn.acquire(blocking=False):
            return False
        try:
            had = self._residency.resident_models
            self._unload(idle=True)
            return self._residency.resident_models < had
        finally:
            self._turn.release()

    @contextmanager
    def resident(self) -> Iterator[Recognizer]:
        """Both models stay in memory for as long as this lasts: for a batch.

        Raises ``ModelError``.
        """
        with ExitStack() as lease:
            with self._turn:
                lease.enter_context(self._residency.lease(*self._models()))
            yield self

    @property
    def compilable(self) -> bool:
        """Is there something for ``compile()`` to do?"""
        return self._forms.pending

    def compile(self) -> list[Path]:
        """Keep what was loaded in its compiled form in the cache folder, for the next start.

        It takes as long as loading does, so front doors call it when nobody waits. Never an
        error: what cannot be kept is logged. The paths of what was kept.
        """
        return self._forms.keep()

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
            if not self.loaded:
                self._load()
            detector, reader = self._models()
            stages = Stages()
            with stages.measure("decode"):
                photo = self._decode(image)
            del image
            with stages.measure("detect"), self._residency.lease(detector):
                found = detector.detect(photo.working)[: self._settings.max_plates]
            with stages.measure("crop"):
                crops = [self._crop(photo, detection) for detection in found]
                boxes = [detection.box.scaled(*photo.scale) for detection in found]
                info = photo.info
                del photo
            with stages.measure("read"), self._residency.lease(*([reader] if crops else [])):
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
                self._detector = make_detector(self._settings, self._forms.open)
            if self._reader is None:
                self._reader = make_reader(self._settings, self._forms.open)
            return self._detector, self._reader

    def _load(self) -> None:
        """Whoever loads has the turn: ``unload`` would take the models away meanwhile."""
        models = self._models()
        try:
            for index, model in enumerate(models, start=1):
                if self._residency.fits(models[:index]):
                    self._residency.load(model)
        except ModelError:
            self._forget()
            raise

    def _forget(self) -> None:
        """Look up anew what is not in memory: another may stand in its place by now."""
        with self._lock:
            gone = [model for model in self._made() if not self._residency.holds(model)]
            self._residency.forget(*gone)
            detector, reader = self._given
            if self._detector in gone:
                self._detector = detector
            if self._reader in gone:
                self._reader = reader

    def _made(self) -> list[Model]:
        return [model for model in (self._detector, self._reader) if model is not None]

    def _unload(self, *, idle: bool) -> bool:
        had = self.holding
        if had:
            memory.unfreeze()
            self._residency.unload(idle=idle)
        if not self.holding:
            self._forget()
        if had:
            memory.unmap_code()
            memory.release()
        return not self.holding

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
        sought = max(top_n, formats.SOUGHT) if among else top_n
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


def read(image: bytes | Image) -> Result:
    """Read one photo with a shared ``Recognizer`` of the default settings."""
    return _shared().read(image)


@functools.cache
def _shared() -> Recognizer:
    return Recognizer()
