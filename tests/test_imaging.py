from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from anpr import imaging
from anpr.deadline import Deadline
from anpr.errors import (
    AnprError,
    CorruptImage,
    DeadlineExceeded,
    EmptyImage,
    ImageTooSmall,
    TooManyPixels,
    UnsupportedImage,
)
from anpr.types import Box
from tests.scenes import encode


def quadrants(width: int = 80, height: int = 40) -> Image.Image:
    """Red, green over blue, white: every turn and every swap of channels shows."""
    image = Image.new("RGB", (width, height), "white")
    image.paste("red", (0, 0, width // 2, height // 2))
    image.paste("lime", (width // 2, 0, width, height // 2))
    image.paste("blue", (0, height // 2, width // 2, height))
    return image


def corners(pixels: np.ndarray) -> list[list[int]]:
    """BGR of the corners, row by row, to the nearest of 0, 128 and 255."""
    height, width = pixels.shape[:2]
    points = [pixels[y, x] for y in (3, height - 4) for x in (3, width - 4)]
    return [[min((0, 128, 255), key=lambda v: abs(v - int(c))) for c in p] for p in points]


QUADRANTS = [[0, 0, 255], [0, 255, 0], [255, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_every_format_becomes_upright_bgr(format: str) -> None:
    photo = imaging.decode(encode(quadrants(), format))
    assert photo.info.format == format.lower()
    assert (photo.info.width, photo.info.height) == (80, 40)
    assert photo.working.dtype == np.uint8
    assert photo.working.shape == (40, 80, 3)
    assert corners(photo.working) == QUADRANTS


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = imaging._TRANSPOSE.get(orientation)
    stored = quadrants()
    if turn is not None:  # stored so that applying the orientation gives the original back
        undo = {6: imaging._TRANSPOSE[8], 8: imaging._TRANSPOSE[6]}.get(orientation, turn)
        stored = stored.transpose(undo)
    photo = imaging.decode(encode(stored, format, exif=exif))
    assert (photo.info.width, photo.info.height) == (80, 40)
    assert corners(photo.working) == QUADRANTS


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_sixteen_bit_colour_is_scaled_not_clipped() -> None:
    row = b"\0" + struct.pack(">HHH", 0x8000, 0, 0xFFFF) * 16
    pixels = imaging.decode(png(16, 16, 16, 2, row * 16)).working
    assert pixels[8, 8].tolist() == [255, 0, 128]


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    row = b"\0" + struct.pack(">H", 0x8000) * 16
    assert imaging.decode(png(16, 16, 16, 0, row * 16)).working[8, 8].tolist() == [128] * 3


def test_float_tiff_is_scaled() -> None:
    image = Image.fromarray(np.full((16, 16), 0.5, np.float32))
    assert imaging.decode(encode(image, "TIFF")).working[8, 8].tolist() == [127] * 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_every_mode_becomes_bgr(mode: str) -> None:
    pixels = imaging.decode(encode(quadrants().convert(mode), "PNG")).working
    assert pixels.shape == (40, 80, 3)
    assert pixels[-3, -3].tolist() == [255, 255, 255]


def test_cmyk_jpeg_keeps_its_colours() -> None:
    pixels = imaging.decode(encode(quadrants().convert("CMYK"), "JPEG")).working
    assert corners(pixels) == QUADRANTS


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert imaging.decode(data).working[9, 9].tolist() == [0, 0, 255]


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_large_images_are_worked_on_small_and_keep_finer_pixels(format: str) -> None:
    photo = imaging.decode(encode(quadrants(4000, 3000), format))
    assert (photo.info.width, photo.info.height) == (4000, 3000)
    assert photo.working.shape == (768, 1024, 3)
    assert 1536 <= photo.finest.shape[1] < 3072
    assert corners(photo.working) == corners(photo.finest) == QUADRANTS
    assert photo.scale == (4000 / 1024, 3000 / 768)


def test_small_images_are_not_enlarged() -> None:
    photo = imaging.decode(encode(quadrants(), "PNG"))
    assert photo.working is photo.finest


def test_the_size_is_judged_by_the_header_alone() -> None:
    with pytest.raises(TooManyPixels):
        imaging.decode(png(40_000, 40_000, 8, 2, b""))
    with pytest.raises(TooManyPixels, match="5001x5000"):
        imaging.decode(png(5001, 5000, 8, 2, b""))


@pytest.mark.parametrize("size", [(1, 1), (400, 7), (7, 400)])
def test_images_without_room_for_a_plate_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ImageTooSmall):
        imaging.decode(encode(Image.new("RGB", size), "PNG"))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", EmptyImage),
        (b"this is no picture", UnsupportedImage),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", UnsupportedImage),
        (b"%PDF-1.7", UnsupportedImage),
        (b"\xff\xd8\xff", CorruptImage),
        (b"BM" + b"\0" * 60, CorruptImage),
        (b"II*\0" + b"\xff" * 60, CorruptImage),
        (b"GIF89a", CorruptImage),
        (b"RIFF\0\0\0\0WEBPVP8 ", CorruptImage),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 30, CorruptImage),
    ],
)
def test_what_is_no_image_is_a_typed_error(data: bytes, kind: type[AnprError]) -> None:
    with pytest.raises(kind):
        imaging.decode(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_a_truncated_image_is_corrupt(format: str) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8))
    data = encode(noise, format)
    with pytest.raises(CorruptImage):
        imaging.decode(data[: len(data) * 2 // 3])


def test_broken_exif_does_not_cost_the_picture() -> None:
    data = encode(quadrants(), "JPEG", exif=b"Exif\0\0II*\0" + b"\xff" * 40)
    assert corners(imaging.decode(data).working) == QUADRANTS


def test_a_renamed_format_is_judged_by_content() -> None:
    assert imaging.sniff(encode(quadrants(), "PNG")) == "png"


def test_pixels_are_taken_as_they_are() -> None:
    image = np.zeros((100, 3000, 3), np.uint8)
    photo = imaging.from_pixels(image)
    assert photo.finest is image
    assert photo.working.shape == (34, 1024, 3)


@pytest.mark.parametrize(
    "image",
    [np.zeros((9, 9, 3), np.float32), np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8)],
)
def test_other_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(UnsupportedImage):
        imaging.from_pixels(image)


def test_crop_pads_and_clips() -> None:
    image = np.arange(100 * 200 * 3, dtype=np.uint8).reshape(100, 200, 3)
    assert imaging.crop(image, Box(50, 50, 70, 60)).shape == (20, 30, 3)
    assert imaging.crop(image, Box(0, 0, 20, 10)).shape == (15, 25, 3)
    assert imaging.crop(image, Box(190, 95, 200, 100)).shape == (10, 15, 3)
    np.testing.assert_array_equal(
        imaging.crop(image, Box(50, 50, 70, 60), padding_px=0), image[50:60, 50:70]
    )


def test_a_crop_is_a_copy() -> None:
    image = np.zeros((50, 50, 3), np.uint8)
    assert not np.shares_memory(imaging.crop(image, Box(5, 5, 20, 20)), image)


@pytest.mark.parametrize("box", [Box(900, 900, 950, 950), Box(-50, -50, -20, -20), Box(3, 3, 3, 3)])
def test_a_crop_is_never_empty(box: Box) -> None:
    crop = imaging.crop(np.zeros((40, 60, 3), np.uint8), box, padding_px=0)
    assert crop.shape[0] >= 1
    assert crop.shape[1] >= 1


def test_large_crops_are_scaled_to_fit_with_their_aspect() -> None:
    crop = imaging.crop(np.zeros((2000, 2000, 3), np.uint8), Box(0, 0, 1280, 320), padding_px=0)
    assert crop.shape == (160, 640, 3)
    tall = imaging.crop(np.zeros((2000, 2000, 3), np.uint8), Box(0, 0, 500, 960), padding_px=0)
    assert tall.shape == (480, 250, 3)


def test_a_photo_crops_from_its_finest_pixels() -> None:
    photo = imaging.decode(encode(quadrants(2000, 1000), "PNG"))
    box = Box(0, 0, 102.4, 51.2)  # a tenth of the working image
    crop = photo.crop(box, padding_px=0, max_width=640, max_height=480)
    assert crop.shape == (100, 200, 3)


def test_decoding_keeps_no_more_than_it_needs() -> None:
    stream = io.BytesIO()
    quadrants(6000, 4000).save(stream, "JPEG")
    pixels = imaging.decode(stream.getvalue()).finest
    assert max(pixels.shape) == 3000 or max(pixels.shape) == 1500
    assert cv2.countNonZero(pixels[:, :, 0]) > 0


def jpeg(*, progressive: bool = False, size: tuple[int, int] = (80, 40)) -> bytes:
    out = io.BytesIO()
    quadrants(*size).save(out, "JPEG", progressive=progressive)
    return out.getvalue()


def test_a_jpeg_that_paints_itself_over_and_over_is_refused() -> None:
    picture = jpeg(progressive=True)
    last = picture.rindex(b"\xff\xda")
    scan = picture[last:-2]
    most = imaging._MOST_SCANS
    scans = picture.count(b"\xff\xda")
    painted = picture[:-2] + scan * (most - scans) + picture[-2:]
    assert painted.count(b"\xff\xda") == most
    assert corners(imaging.decode(painted).working) == corners(imaging.decode(picture).working)
    with pytest.raises(CorruptImage, match="scans"):
        imaging.decode(picture[:-2] + scan * (most - scans + 1) + picture[-2:])


def test_what_looks_like_scans_outside_of_the_picture_does_not_count() -> None:
    picture, film = jpeg(), b"\xff\xda\x00\x02" * 200
    thumbnail = b"\xff\xe5" + (2 + len(film)).to_bytes(2, "big") + film
    assert corners(imaging.decode(picture + film).working) == CORNERS
    assert corners(imaging.decode(picture[:2] + thumbnail + picture[2:]).working) == CORNERS


CORNERS = [[0, 0, 255], [0, 255, 0], [255, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("kind", ["jpeg", "gif"])
def test_a_picture_of_countless_pieces_is_refused(kind: str) -> None:
    if kind == "jpeg":
        picture, start, piece = jpeg(), 2, b"\xff\xe5\x00\x02"
    else:
        out = io.BytesIO()
        Image.new("L", (64, 64)).save(out, "GIF")
        picture, piece = out.getvalue(), b"\x21\xfe\x01a\x00"
        start = 13 + 3 * (2 << (picture[10] & 7))
    few = picture[:start] + piece * 1000 + picture[start:]
    assert imaging.decode(few).info.format == kind
    with pytest.raises(CorruptImage, match="pieces"):
        imaging.decode(picture[:start] + piece * imaging._MOST_READS + picture[start:])


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "GIF"])
def test_decoding_ends_with_the_deadline(format: str) -> None:
    out = io.BytesIO()
    quadrants().save(out, format)
    with Deadline() as deadline:
        deadline.cancel()
        with pytest.raises(DeadlineExceeded):
            imaging.decode(out.getvalue())


def test_a_picture_may_be_as_long_and_thin_as_it_likes() -> None:
    photo = imaging.decode(jpeg(size=(13_000, 8)))
    assert (photo.info.width, photo.info.height) == (13_000, 8)
