"""From untrusted bytes to pixels, and from pixels to plate crops.

Decoding is Pillow's: it reads the header alone, decodes a JPEG at a fraction of its size, and
says so when a file is cut short (OpenCV returns grey pixels). Resampling is OpenCV's, because the
models were trained with it.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from PIL import ExifTags
from PIL import Image as PillowImage
from PIL.ImageFile import ImageFile as PillowFile

from anpr import deadline, jpeg
from anpr.errors import (
    AnprError,
    CorruptImage,
    EmptyImage,
    ImageTooSmall,
    TooManyPixels,
    UnsupportedImage,
)
from anpr.types import Box, ImageInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from anpr.types import Image

# A plate needs some 8 px of height to be read at all
MIN_SIDE_PX: Final = 8
_MOST_SCANS: Final = 100  # of a JPEG; cameras and the web have up to some twelve
_MOST_READS: Final = 100_000  # that a parser may take; a large PNG in small pieces needs 5,000
_OPEN = PillowImage.open  # Ultralytics replaces PIL.Image.open when it is imported
_TURN = PillowImage.Transpose
_TRANSPOSE: Final = {  # EXIF 2.3, tag 0x0112
    2: _TURN.FLIP_LEFT_RIGHT,
    3: _TURN.ROTATE_180,
    4: _TURN.FLIP_TOP_BOTTOM,
    5: _TURN.TRANSPOSE,
    6: _TURN.ROTATE_270,
    7: _TURN.TRANSVERSE,
    8: _TURN.ROTATE_90,
}
_SIDEWAYS: Final = (5, 6, 7, 8)


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded image: ``working`` is what plates are sought in, ``finest`` what they are cut from.

    The finest pixels are those that decoding gave; small plates can be read in them where the
    working image has lost them. Both may be one array.
    """

    info: ImageInfo
    working: Image
    finest: Image

    @property
    def scale(self) -> tuple[float, float]:
        """(x, y) factors from the working image to the image as sent."""
        height, width = self.working.shape[:2]
        return self.info.width / width, self.info.height / height

    def crop(self, box: Box, *, padding_px: float, max_width: int, max_height: int) -> Image:
        """Cut ``box`` (pixels of the working image, as is the padding) out of the finest pixels."""
        x = self.finest.shape[1] / self.working.shape[1]
        y = self.finest.shape[0] / self.working.shape[0]
        return crop(
            self.finest,
            box.scaled(x, y),
            padding_px=padding_px * max(x, y),
            max_width=max_width,
            max_height=max_height,
        )


class _Untrusted(io.BytesIO):
    """Bytes that are parsed for as long as the current deadline allows, and in so many pieces.

    A picture of ten megabytes may consist of millions of empty segments or comments, of each of
    which Pillow keeps a note.
    """

    def __init__(self, data: bytes, most_reads: float) -> None:
        super().__init__(data)
        self._left = most_reads

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise CorruptImage("The image is made of too many pieces.")
        deadline.current().check()
        return super().read(size)


def sniff(data: bytes) -> str | None:
    """The format by the first bytes ("jpeg", "png", "webp", "bmp", "tiff", "gif"), or None."""
    if data[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[:2] == b"BM":
        return "bmp"
    if data[:4] in (b"II*\x00", b"MM\x00*"):
        return "tiff"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    return None


def decode(data: bytes, *, max_pixels: int = 25_000_000, max_side_px: int = 1024) -> Photo:
    """Decode the first frame to 8-bit BGR, upright.

    The working image's longer side is at most ``max_side_px``, the finest pixels' less than three
    times that. The size is read from the header and judged before a pixel is decoded.

    Raises ``EmptyImage``, ``UnsupportedImage``, ``TooManyPixels``, ``ImageTooSmall``,
    ``CorruptImage``, or ``DeadlineExceeded`` when the current deadline passes meanwhile.
    """
    if not data:
        raise EmptyImage
    kind = sniff(data)
    if kind is None:
        raise UnsupportedImage
    if kind == "jpeg" and jpeg.has_more_scans(data, _MOST_SCANS):
        raise CorruptImage("The image has too many scans.")
    # runs of pixels in a BMP are read two bytes at a time, and nothing is kept of them
    file_like = _Untrusted(data, math.inf if kind == "bmp" else _MOST_READS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is no business of the caller's
            with _OPEN(file_like, formats=(kind.upper(),)) as file:
                _check_size(file.width, file.height, max_pixels)
                info, pixels = _decode(file, kind, max_side_px * 3 // 2)
    except PillowImage.DecompressionBombError as error:
        raise TooManyPixels from error
    except (AnprError, MemoryError):
        raise
    except Exception as error:  # Pillow's parsers raise whatever they trip over
        raise CorruptImage from error
    return Photo(info, working=_shrink(pixels, max_side_px), finest=pixels)


def from_pixels(image: Image, *, max_pixels: int = 25_000_000, max_side_px: int = 1024) -> Photo:
    """A ``Photo`` of pixels that are decoded already. Raises as ``decode`` does."""
    if not isinstance(image, np.ndarray):
        raise UnsupportedImage("The image is neither bytes nor an array.")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UnsupportedImage("The array is not uint8 of shape (height, width, 3).")
    height, width = image.shape[:2]
    _check_size(width, height, max_pixels)
    return Photo(ImageInfo(width, height, "array"), _shrink(image, max_side_px), image)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise TooManyPixels(
            f"The image has {width}x{height} pixels; at most {max_pixels:,} are accepted."
        )
    if min(width, height) < MIN_SIDE_PX:
        raise ImageTooSmall(
            f"The image has {width}x{height} pixels; each side needs at least {MIN_SIDE_PX}."
        )


def _decode(file: PillowFile, kind: str, least_side_px: int) -> tuple[ImageInfo, Image]:
    """Pixels at a whole fraction of their size: the smallest that is not below the side."""
    width, height = file.size
    if kind == "jpeg":
        # libjpeg decodes at 1/2, 1/4 or 1/8, never below the size that is asked for
        fraction = least_side_px / max(width, height)
        file.draft("RGB", (max(1, int(width * fraction)), max(1, int(height * fraction))))
    file.load()
    orientation = _orientation(file)
    if orientation in _SIDEWAYS:
        width, height = height, width
    frame = _to_rgb(file, least_side_px)
    if orientation in _TRANSPOSE:
        frame = frame.transpose(_TRANSPOSE[orientation])
    pixels = cv2.cvtColor(np.asarray(frame), cv2.COLOR_RGB2BGR)
    return ImageInfo(width, height, kind), np.asarray(pixels, np.uint8)


def _orientation(file: PillowFile) -> int:
    """EXIF orientation, 1 to 8. A TIFF is turned by Pillow as it loads, and says 1 then."""
    try:
        return int(file.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken metadata must not cost a good picture
        return 1


def _to_rgb(file: PillowFile, least_side_px: int) -> PillowImage.Image:
    """8-bit RGB, brought near the wanted size first, so that no large copy is made."""
    frame: PillowImage.Image = file
    if file.mode.startswith(("I", "F")):
        frame = PillowImage.fromarray(_to_eight_bit(np.asarray(file)))
    elif file.mode in ("1", "P", "PA"):  # no arithmetic on palette indices
        frame = file.convert("RGB")
    factor = max(frame.size) // least_side_px
    if factor > 1:
        frame = frame.reduce(factor)
    return frame.convert("RGB")


def _to_eight_bit(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey samples of more than 8 bits (16-bit integers; floats up to 1) to 0…255."""
    if samples.dtype == np.uint16:
        return (samples >> 8).astype(np.uint8)
    top = float(samples.max(initial=0))
    full = 1.0 if top <= 1.0 else 255.0 if top <= 255.0 else 65535.0
    return np.clip(samples.astype(np.float32) * (255.0 / full), 0, 255).astype(np.uint8)


def _shrink(image: Image, max_side_px: int) -> Image:
    height, width = image.shape[:2]
    factor = max_side_px / max(height, width)
    if factor >= 1:
        return image
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def crop(
    image: Image, box: Box, *, padding_px: float = 5, max_width: int = 640, max_height: int = 480
) -> Image:
    """The box with ``padding_px`` around it, clipped at the border; a copy, never a view.

    A crop of more than ``max_width`` × ``max_height`` is scaled down. The result has at least
    1 × 1 px, also for a box that lies outside the image.
    """
    height, width = image.shape[:2]
    part = box.padded(padding_px).clipped(width, height)
    x1, y1 = min(int(part.x1), width - 1), min(int(part.y1), height - 1)
    x2, y2 = max(x1 + 1, math.ceil(part.x2)), max(y1 + 1, math.ceil(part.y2))
    pixels = image[y1:y2, x1:x2]
    factor = min(max_width / (x2 - x1), max_height / (y2 - y1))
    if factor >= 1:
        return pixels.copy()
    size = max(1, int((x2 - x1) * factor)), max(1, int((y2 - y1) * factor))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
