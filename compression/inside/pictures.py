"""Pixels as PNG files, for pages and notebooks."""

import base64
import io

import torch
from PIL import Image
from torch import Tensor

GREY = 128.0


def to_png(pixels: Tensor) -> bytes:
    """pixels (3, H, W) uint8, RGB -> a PNG file of exactly these pixels, not enlarged."""
    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(file, "PNG")
    return file.getvalue()


def to_data_uri(pixels: Tensor) -> str:
    """pixels (3, H, W) uint8, RGB -> the PNG file as an address that a page can show without a further request."""
    return f"data:image/png;base64,{base64.b64encode(to_png(pixels)).decode()}"


def map_to_pixels(values: Tensor, most: float) -> Tensor:
    """values (H, W) -> pixels (3, H, W) uint8: white at zero, red at `most` and above, blue at -`most` and below.

    Values that are not a number are grey.
    """
    share = (values / most if most else torch.zeros_like(values)).clamp(-1, 1)
    red, green, blue = 1 + share.clamp(max=0), 1 - share.abs(), 1 - share.clamp(min=0)
    colours = torch.where(values.isnan(), GREY, 255 * torch.stack([red, green, blue]))
    return colours.round().to(torch.uint8)
