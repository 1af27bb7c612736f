"""The reader's own image file, as the pixels that a network sees. Nothing of the file is kept."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from pi_heif import register_heif_opener
from PIL import Image
from torch import Tensor

from compression.errors import DataError

MOST_BYTES = 20_000_000

MOST_PIXELS = 25_000_000

FORMATS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "HEIF": "heic"}  # of Pillow -> the usual end of a file's name
register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)

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
DAMAGE = (
    *(OSError, ValueError, SyntaxError, TypeError, LookupError, EOFError, OverflowError, struct.error, zlib.error),
    RuntimeError,  # of pi_heif, if the picture is larger than the file says
)


@dataclass(frozen=True)
class Crop:
    """The part of an image that is used, as it is shown: a share (0..1) of the largest part with the same proportions.

    It lies at `across` and `down` (0..1) of the way that it can move, from the left and from the top.
    """

    size: float = 1.0
    across: float = 0.5
    down: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < self.size <= 1 and 0 <= self.across <= 1 and 0 <= self.down <= 1):
            raise ValueError(f"a crop must lie in the image, got {self}")


MIDDLE = Crop()


def read_image(content: bytes, height: int, width: int, crop: Crop = MIDDLE) -> Tensor:
    """content: a PNG, JPEG, WebP or HEIC file -> pixels (3, height, width) uint8, RGB.

    The part `crop` is resized (Lanczos). The orientation in EXIF is honoured, transparent places become white, 16 bits
    per channel become 8, and of an animation the first image counts. Raises DataError for other files, damaged ones,
    and those with more than MOST_BYTES bytes or MOST_PIXELS pixels.
    """
    if len(content) > MOST_BYTES:
        raise DataError(f"the file has {len(content):,} bytes, and at most {MOST_BYTES:,} are read: reduce the image")
    try:
        with Image.open(io.BytesIO(content), formats=[*FORMATS]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise _too_large(f"{image.width:,} x {image.height:,} pixels")
            turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
            size = (height, width) if turn in _SWAPS else (width, height)
            box = _box(image.size, size, crop.size, *_before_turn(turn, crop.across, crop.down))
            small = _eight_bits(image).resize(size, Image.Resampling.LANCZOS, box)
    except Image.UnidentifiedImageError:
        raise DataError("the file is not a PNG, JPEG, WebP or HEIC image: save it as one of these") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large("too many pixels") from None
    except DAMAGE as error:
        raise DataError(f"the image is damaged ({type(error).__name__}): save it again with another program") from None
    return torch.from_numpy(_on_white(small if turn is None else small.transpose(turn))).permute(2, 0, 1).contiguous()


_SWAPS = {Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90}

_FROM_RIGHT = {2, 3, 7, 8}  # of EXIF's orientations: what is at the left or the top of the picture is at the far side
_FROM_BELOW = {3, 4, 6, 7}


def _before_turn(turn: Image.Transpose | None, across: float, down: float) -> tuple[float, float]:
    """Returns where a place of the picture that is shown lies in the file, whose picture `turn` makes the one shown."""
    orientation = next((number for number, each in TURNS.items() if each is turn), 1)
    x, y = (down, across) if turn in _SWAPS else (across, down)
    return 1 - x if orientation in _FROM_RIGHT else x, 1 - y if orientation in _FROM_BELOW else y


def _box(
    image: tuple[int, int], target: tuple[int, int], size: float, across: float, down: float
) -> tuple[float, float, float, float]:
    """Returns the left, upper, right and lower end of a crop. image, target: width and height."""
    scale = size * min(whole / part for whole, part in zip(image, target, strict=True))
    width, height = (scale * part for part in target)
    left, top = across * (image[0] - width), down * (image[1] - height)
    return max(left, 0), max(top, 0), min(left + width, image[0]), min(top + height, image[1])


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
