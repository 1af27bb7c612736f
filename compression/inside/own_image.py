"""The reader's own image file, as the pixels that a network sees. Nothing of the file is kept."""

import io
import struct
import zlib

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from compression.errors import DataError

MOST_BYTES = 20_000_000

MOST_PIXELS = 25_000_000

FORMATS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}  # of Pillow -> the usual end of a file's name

ORIENTATION = 0x0112  # the number of the EXIF entry
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
DAMAGE = (OSError, ValueError, SyntaxError, TypeError, LookupError, EOFError, OverflowError, struct.error, zlib.error)


def read_image(content: bytes, height: int, width: int) -> Tensor:
    """content: a PNG, JPEG or WebP file -> pixels (3, height, width) uint8, RGB.

    The largest part in the middle with these proportions is resized (Lanczos). The orientation in EXIF is honoured,
    transparent places become white, 16 bits per channel become 8, and of an animation the first image counts. Raises
    DataError for other files, damaged ones, and those with more than MOST_BYTES bytes or MOST_PIXELS pixels.
    """
    if len(content) > MOST_BYTES:
        raise DataError(f"the file has {len(content):,} bytes, and at most {MOST_BYTES:,} are read: reduce the image")
    try:
        with Image.open(io.BytesIO(content), formats=[*FORMATS]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise _too_large(f"{image.width:,} x {image.height:,} pixels")
            turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
            size = (height, width) if turn in _SWAPS else (width, height)
            small = ImageOps.fit(_eight_bits(image), size, Image.Resampling.LANCZOS)
    except Image.UnidentifiedImageError:
        raise DataError("the file is not a PNG, JPEG or WebP image: save it as one of these") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large("too many pixels") from None
    except DAMAGE as error:
        raise DataError(f"the image is damaged ({type(error).__name__}): save it again with another program") from None
    return torch.from_numpy(_on_white(small if turn is None else small.transpose(turn))).permute(2, 0, 1).contiguous()


_SWAPS = {Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90}


def _too_large(size: str) -> DataError:
    return DataError(f"the image has {size}, and at most {MOST_PIXELS:,} are read: reduce it")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Returns the image in a mode that can be resized, with 8 bits per channel."""
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip instead of scale
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    if image.mode in {"RGB", "RGBA", "L", "LA", "CMYK"} and "transparency" not in image.info:
        return image
    return image.convert("RGBA")


def _on_white(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Returns (H, W, 3) uint8: the image in front of white."""
    if image.mode in {"RGBA", "LA"}:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))
