"""Images of readers: shown as they are meant, or refused in words."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image
from torch import Tensor

from compression.errors import DataError
from compression.inside.own_image import MOST_BYTES, ORIENTATION, Crop, read_image

RED, GREEN, BLUE, WHITE = [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def heic(image: Image.Image, *others: Image.Image, exif: Image.Exif | None = None) -> bytes:
    """Returns a HEIC file without loss, with `others` after the image that counts."""
    pictures = pillow_heif.from_pillow(image)
    for each in others:
        pictures.add_from_pillow(each)
    content = io.BytesIO()
    pictures.save(content, quality=-1, chroma=444, exif=exif.tobytes() if exif else None)
    return content.getvalue()


def heic_that_says(width: int, height: int, content: bytes) -> bytes:
    """Returns the HEIC file with other numbers of pixels in its header."""
    header = content.index(b"ispe") + 8
    return content[:header] + struct.pack(">II", width, height) + content[header + 8 :]


def read(content: bytes) -> Tensor:
    return read_image(content, 32, 32)


def colour(pixels: Tensor, row: int = 16, column: int = 16) -> list[int]:
    return pixels[:, row, column].tolist()


def quarters() -> Image.Image:
    """Returns 64 x 64 pixels: red at the upper left, green at the upper right, blue at the lower left, else white."""
    values = np.full((64, 64, 3), 255, np.uint8)
    values[:32, :32], values[:32, 32:], values[32:, :32] = RED, GREEN, BLUE
    return Image.fromarray(values)


def corners(pixels: Tensor) -> list[list[int]]:
    return [colour(pixels, row, column) for row in (4, 27) for column in (4, 27)]


def test_an_image_of_the_size_that_the_network_sees_keeps_every_pixel() -> None:
    values = torch.randint(256, (32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(read(file(Image.fromarray(values.numpy()))), values.permute(2, 0, 1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_in_exif_is_honoured(orientation: int) -> None:
    assert corners(read(photographed(orientation))) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_photograph_in_heic_is_honoured_once(orientation: int) -> None:
    shown = read(photographed(orientation, heic))
    for corner, expected in zip(corners(shown), [RED, GREEN, BLUE, WHITE], strict=True):
        assert max(abs(value - other) for value, other in zip(corner, expected, strict=True)) <= 3


def photographed(orientation: int, write: Callable[..., bytes] = file) -> bytes:
    """Returns `quarters` as a camera in this orientation stores it."""
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what the camera did, as transpositions of Pillow
    stored = quarters().transpose(Image.Transpose(inverse[orientation])) if orientation > 1 else quarters()
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return write(stored, exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_crop_is_that_of_the_picture_as_it_is_shown(orientation: int) -> None:
    content = photographed(orientation)
    for down, row in enumerate(((RED, GREEN), (BLUE, WHITE))):
        for across, expected in enumerate(row):
            pixels = read_image(content, 32, 32, Crop(0.4, across, down))
            assert (pixels == torch.tensor(expected).view(3, 1, 1)).all()


def test_a_crop_outside_of_the_image_is_refused() -> None:
    for size, across in ((0.0, 0.5), (1.1, 0.5), (0.5, -0.1), (0.5, 1.1)):
        with pytest.raises(ValueError, match="must lie in the image"):
            Crop(size, across)


def test_the_middle_of_a_wide_image_is_shown() -> None:
    wide = Image.new("RGB", (192, 64), "black")
    wide.paste(quarters(), (64, 0))
    assert corners(read(file(wide))) == [RED, GREEN, BLUE, WHITE]


def test_transparent_places_are_white() -> None:
    assert colour(read(file(Image.new("RGBA", (50, 50), (255, 0, 0, 0))))) == WHITE
    assert colour(read(file(Image.new("LA", (50, 50), (0, 0))))) == WHITE
    palette = Image.new("P", (50, 50), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert colour(read(file(palette, transparency=1))) == WHITE
    assert colour(read(file(palette))) == RED


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    grey = Image.fromarray(np.full((40, 40), 257 * 100, np.uint16))
    assert colour(read(file(grey))) == [100, 100, 100]


def test_other_modes_and_kinds_of_files_are_read() -> None:
    cmyk = Image.new("CMYK", (40, 40), (0, 255, 255, 0))
    red = colour(read(file(cmyk, "JPEG", quality=95)))
    assert red[0] > 230
    assert max(red[1:]) < 40
    assert colour(read(file(Image.new("RGB", (40, 40), "blue"), "WEBP", lossless=True))) == BLUE
    assert colour(read(file(Image.new("1", (40, 40), 1)))) == WHITE
    assert colour(read(file(Image.new("RGB", (1, 1), "red")))) == RED
    assert colour(read(file(Image.new("RGB", (3000, 1), "red")))) == RED


def test_the_first_image_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (40, 40), name) for name in ("red", "blue")]
    assert colour(read(file(frames[0], save_all=True, append_images=frames[1:]))) == RED


def bomb(width: int, height: int) -> bytes:
    """Returns a small PNG file that says it has this many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("side", [5_001, 10_000, 20_000])
def test_more_pixels_than_are_read_are_refused_before_they_are_decoded(side: int) -> None:
    with pytest.raises(DataError, match="at most 25,000,000 are read"):
        read(bomb(side, side))


def test_files_that_are_too_large_or_of_another_kind_are_refused() -> None:
    with pytest.raises(DataError, match="at most 20,000,000 are read"):
        read(bytes(MOST_BYTES + 1))
    for content in (b"", b"GIF89a", b"<svg></svg>", file(quarters(), "GIF"), file(quarters(), "TIFF")):
        with pytest.raises(DataError, match="not a PNG, JPEG, WebP or HEIC image"):
            read(content)


def test_a_photograph_in_heic_of_more_pixels_than_are_read_or_than_it_says_is_refused() -> None:
    with pytest.raises(DataError, match="at most 25,000,000 are read"):
        read(heic_that_says(20_000, 20_000, heic(quarters())))
    with pytest.raises(DataError, match="the image is damaged"):
        read(heic_that_says(64, 64, heic(Image.new("RGB", (600, 600)))))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "HEIC"])
def test_a_file_that_was_cut_anywhere_is_shown_or_refused_in_words(kind: str) -> None:
    content = heic(quarters()) if kind == "HEIC" else file(quarters(), kind)
    for end in range(0, len(content) - 1, max(1, len(content) // 40)):
        assert outcome(content[:end]) in {"shown", "refused"}


def outcome(content: bytes) -> str:
    try:
        return "shown" if read(content).shape == (3, 32, 32) else "another size"
    except DataError as error:
        return "refused" if "save it" in str(error) else str(error)
