"""Sixty hostile image files: each is shown right or refused in words, in less than 300 MB of memory."""

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from compression.errors import DataError
from compression.inside.own_image import MOST_BYTES, ORIENTATION, read_image
from compression.paths import PROJECT
from tests.inside.test_own_image import file, heic, heic_that_says
from tests.support.image_memory import STATUS

MOST_MEMORY = 300_000_000

RED = (255, 0, 0)
REFUSED = None  # in place of a colour

Colour = tuple[int, int, int] | None
Case = tuple[str, bytes | Callable[[], bytes], Colour]  # a function makes what takes long, in the process that tests it


def plain(mode: str = "RGB", colour: Any = RED, size: tuple[int, int] = (48, 48)) -> Image.Image:
    return Image.new(mode, size, colour)


@cache
def file_of_size(width: int, height: int) -> bytes:
    return file(plain(size=(width, height)))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(width: int, height: int, content: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """Returns a PNG file with any header and any content."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


@cache
def zeros(side: int, octets: int = 3, depth: int = 8, colour: int = 2) -> bytes:
    """Returns a small PNG file of side x side pixels that are zero in all channels, with so many bytes per pixel."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + octets * side)) for _ in range(side))
    return png_of(side, side, rows + packer.flush(), depth, colour)


def cut(content: bytes, share: float) -> bytes:
    return content[: int(share * len(content))]


def modes() -> Iterator[Case]:
    yield "grey", file(plain("L", 255)), (255, 255, 255)
    yield "black and white", file(plain("1", 1)), (255, 255, 255)
    yield "grey with alpha", file(plain("LA", (0, 0))), (255, 255, 255)
    yield "colours with alpha", file(plain("RGBA", (*RED, 255))), RED
    yield "transparent", file(plain("RGBA", (*RED, 0))), (255, 255, 255)
    palette = plain("P", 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    yield "palette", file(palette), RED
    yield "palette with a transparent entry", file(palette, transparency=1), (255, 255, 255)
    yield "palette with alpha per entry", file(palette, transparency=bytes([255, 0])), (255, 255, 255)
    yield "transparent colour", file(plain(), transparency=RED), (255, 255, 255)
    sixteen = Image.fromarray(np.full((48, 48), 257 * 200, np.uint16))
    yield "16 bits of grey", file(sixteen), (200, 200, 200)
    pixel = struct.pack(">HHH", 65535, 0, 0) * 4
    yield "16 bits of colour", png_of(4, 4, zlib.compress((b"\0" + pixel) * 4), 16), RED
    yield "CMYK", file(plain("CMYK", (0, 255, 255, 0)), "JPEG", quality=98), RED
    yield "grey JPEG", file(plain("L", 255), "JPEG"), (255, 255, 255)
    yield "YCbCr", file(plain("YCbCr", (76, 85, 255)), "JPEG", quality=98), RED
    yield "progressive JPEG", file(plain(), "JPEG", progressive=True, quality=98), RED
    yield "WebP", file(plain(), "WEBP", lossless=True), RED
    yield "transparent WebP", file(plain("RGBA", (0, 0, 0, 0)), "WEBP", lossless=True), (255, 255, 255)
    yield "interlaced", file(plain(), "PNG", interlace=1), RED


def shapes() -> Iterator[Case]:
    for width, height in ((1, 1), (1, 2000), (2000, 1), (31, 33), (5000, 5000), (3, 20_000)):
        yield f"{width} x {height}", partial(file_of_size, width, height), RED
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        yield f"orientation {orientation}", file(plain(size=(60, 40)), "JPEG", exif=exif, quality=98), RED
    exif = Image.Exif()
    exif[ORIENTATION] = 77
    yield "an orientation that does not exist", file(plain(), exif=exif), RED
    yield "damaged EXIF", file(plain(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff", quality=98), RED


def several() -> Iterator[Case]:
    frames = [plain(colour=name) for name in ("red", "blue", "green")]
    yield "animated PNG", file(frames[0], save_all=True, append_images=frames[1:]), RED
    yield "animated WebP", file(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True), RED


def bombs() -> Iterator[Case]:
    for side in (5001, 20_000, 65_535, 2**31 - 1):
        yield f"says {side} x {side}", png_of(side, side, zlib.compress(b"")), REFUSED
    yield "400 million black pixels", png_of(20_000, 20_000, zlib.compress(bytes(1_000_000))), REFUSED
    yield "25 million black pixels", partial(zeros, 5000), (0, 0, 0)
    yield "25 million transparent pixels", partial(zeros, 5000, 4, 8, 6), (255, 255, 255)
    yield "25 million grey pixels of 16 bits", partial(zeros, 5000, 2, 16, 0), (0, 0, 0)
    yield "25 million pixels of 16 bits in four channels", partial(zeros, 5000, 8, 16, 6), (255, 255, 255)
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "x" * 3_000_000, zip=True)
    yield "a comment of 3 MB in a few bytes", file(plain(), pnginfo=text), REFUSED
    yield "more bytes than are read", bytes(MOST_BYTES + 1), REFUSED


def lying_heic(says: int, is_of: int) -> bytes:
    return heic_that_says(says, says, heic(plain(size=(is_of, is_of))))


def cut_heic(share: float) -> bytes:
    return cut(heic(Image.effect_noise((200, 200), 60).convert("RGB")), share)


def photographs() -> Iterator[Case]:
    yield "HEIC", partial(heic, plain()), RED
    yield "grey HEIC", partial(heic, plain("L", 255)), (255, 255, 255)
    yield "transparent HEIC", partial(heic, plain("RGBA", (*RED, 0))), (255, 255, 255)
    yield "HEIC with two pictures", partial(heic, plain(), plain(colour="blue")), RED
    yield "HEIC of 1000 x 1000", partial(heic, plain(size=(1000, 1000))), RED
    for says, is_of in ((20_000, 48), (5000, 48), (64, 600)):
        yield f"HEIC of {is_of} x {is_of} that says {says} x {says}", partial(lying_heic, says, is_of), REFUSED
    for share in (0.005, 0.3, 0.9):
        yield f"HEIC, {share:.1%} of it", partial(cut_heic, share), REFUSED


def damaged() -> Iterator[Case]:
    for kind in ("PNG", "JPEG", "WEBP"):
        content = file(Image.effect_noise((200, 200), 60).convert("RGB"), kind)
        for share in (0.05, 0.3):
            yield f"{kind}, {share:.0%} of it", cut(content, share), REFUSED
    whole = bytearray(file(plain()))
    whole[40] ^= 0xFF
    yield "wrong bytes", bytes(whole), REFUSED
    yield "no width", png_of(0, 10, zlib.compress(b"")), REFUSED
    yield "a depth that does not exist", png_of(4, 4, zlib.compress(bytes(52)), 7), REFUSED
    yield "one black row of forty", png_of(40, 40, zlib.compress(bytes(121))), (0, 0, 0)  # as browsers show it


def others() -> Iterator[Case]:
    yield "nothing", b"", REFUSED
    yield "zeros", bytes(5000), REFUSED
    yield "text", b"not an image " * 50, REFUSED
    yield "SVG", b'<svg xmlns="http://www.w3.org/2000/svg"/>', REFUSED
    yield "only the start of a HEIC", b"\0\0\0\x18ftypheic" + bytes(200), REFUSED
    yield "only a signature", b"\x89PNG\r\n\x1a\n", REFUSED
    yield "only the start of a JPEG", b"\xff\xd8\xff\xe0", REFUSED
    for kind in ("GIF", "BMP", "TIFF", "ICO"):
        yield f"{kind} under a wrong name", file(plain(size=(32, 32)), kind), REFUSED
    yield "a program", b"\x7fELF" + bytes(300), REFUSED


CASES: list[Case] = [
    each for group in (modes, shapes, several, bombs, photographs, damaged, others) for each in group()
]


def content_of(case: Case) -> bytes:
    return case[1] if isinstance(case[1], bytes) else case[1]()


def test_there_are_sixty_cases() -> None:
    assert len(CASES) >= 60
    assert len({name for name, *_ in CASES}) == len(CASES)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore:Corrupt EXIF data")
@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_a_hostile_image_is_shown_right_or_refused_in_words(case: Case) -> None:
    content, colour = content_of(case), case[2]
    if colour is REFUSED:
        with pytest.raises(DataError, match=r"reduce|save|at most"):
            read_image(content, 32, 32)
        return
    pixels = read_image(content, 32, 32)
    assert pixels.shape == (3, 32, 32)
    assert (pixels.float() - torch.tensor(colour).view(3, 1, 1)).abs().max() <= 12  # JPEG is not exact


@pytest.mark.skipif(not STATUS.exists(), reason="the system does not say how much memory a process has held at most")
def test_all_of_them_take_less_than_300_megabytes(tmp_path: Path) -> None:
    for number, case in enumerate(CASES):
        (tmp_path / f"{number}.image").write_bytes(content_of(case))
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.support.image_memory", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=PROJECT,
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert 50_000_000 < int(process.stdout) < MOST_MEMORY  # 25 million pixels take 75 MB
