"""Corrupted images: what sensors, weather, compression and framing do to test images, in five severities.

The strengths of noise, blur, brightness, contrast and JPEG are those of CIFAR-10-C (Hendrycks and Dietterich 2019,
arXiv:1903.12261), whose Gaussian blur is one of its four extra corruptions. Shift and rotation are ours. What is random
depends on the number of the image alone, so a corrupted image is always the same.
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

SEVERITIES = (1, 2, 3, 4, 5)

DIRECTIONS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # of a shift: down and right, in pixels


class Corruption(StrEnum):
    """A way to corrupt images."""

    NOISE = "Noise"
    BLUR = "Blur"
    BRIGHTNESS = "Brightness"
    CONTRAST = "Contrast"
    JPEG = "JPEG"
    SHIFT = "Shift"
    ROTATION = "Rotation"


@dataclass(frozen=True)
class Condition:
    """A corruption with its severity (1..5). The clean images are no corruption with severity 0."""

    corruption: Corruption | None = None
    severity: int = 0

    def __post_init__(self) -> None:
        allowed = SEVERITIES if self.corruption else (0,)
        if self.severity not in allowed:
            raise ValueError(f"severity must be in {allowed[0]}..{allowed[-1]}, got {self.severity}")


CLEAN = Condition()

CONDITIONS = (CLEAN, *(Condition(corruption, severity) for corruption in Corruption for severity in SEVERITIES))


def corrupt(pixels: Tensor, condition: Condition, first: int = 0) -> Tensor:
    """pixels (N, 3, H, W) uint8 -> the same images under `condition`, uint8.

    `first` is the number of the first image, which decides about noise and directions.

    >>> pixels = torch.full((1, 3, 32, 32), 100, dtype=torch.uint8)
    >>> corrupt(pixels, Condition(Corruption.BRIGHTNESS, 4)).unique().tolist()
    [151]
    """
    if condition.corruption is None:
        return pixels
    strength = STRENGTHS[condition.corruption][condition.severity - 1]
    changed = CORRUPTIONS[condition.corruption](pixels.float() / 255, strength, first)
    return (255 * changed).round().clamp(0, 255).to(torch.uint8)


def _add_noise(images: Tensor, deviation: float, first: int) -> Tensor:
    """Adds Gaussian noise with this standard deviation; images (N, 3, H, W) in 0..1, here and below."""
    noises = [
        torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(number))
        for number in range(first, first + len(images))
    ]
    return images + deviation * torch.stack(noises)


def _blur(images: Tensor, sigma: float, _first: int) -> Tensor:
    """Convolves with a Gaussian of `sigma` pixels; images go on beyond their edges as in a mirror."""
    radius = math.ceil(4 * sigma)
    kernel = torch.exp(-torch.arange(-radius, radius + 1).square() / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    wide = F.pad(images, (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(wide, kernel, groups=3), kernel.transpose(2, 3), groups=3)


def _brighten(images: Tensor, more: float, _first: int) -> Tensor:
    """Raises the value of HSV, the largest of the three channels; hue and saturation stay."""
    value = images.amax(1, keepdim=True)
    brighter = (value + more).clamp(max=1)
    return torch.where(value > 0, images * (brighter / value.clamp(min=1e-6)), brighter)


def _reduce_contrast(images: Tensor, share: float, _first: int) -> Tensor:
    """Keeps a share of the difference of each pixel from the mean of its channel in the image."""
    means = images.mean((2, 3), keepdim=True)
    return means + share * (images - means)


def _compress(images: Tensor, quality: float, _first: int) -> Tensor:
    """Writes each image as JPEG with this quality and reads it again."""
    pixels = (255 * images).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    read = []
    for each in pixels:
        file = io.BytesIO()
        Image.fromarray(each).save(file, "JPEG", quality=int(quality))
        read.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2).float() / 255


def _shift(images: Tensor, distance: float, first: int) -> Tensor:
    """Shifts by a number of pixels, each fourth image in the same direction; what enters is mirrored at the edge."""
    size, (height, width) = int(distance), images.shape[2:]
    wide = F.pad(images, (size,) * 4, mode="reflect")
    windows = []
    for number, image in enumerate(wide, first):
        down, right = (size - size * step for step in DIRECTIONS[number % len(DIRECTIONS)])
        windows.append(image[:, down : down + height, right : right + width])
    return torch.stack(windows)


def _rotate(images: Tensor, degrees: float, first: int) -> Tensor:
    """Rotates, every second image in the same direction; corners are mirrored at the edge. Bilinear."""
    signs = 1 - 2 * (torch.arange(first, first + len(images)) % 2)
    angle = signs * math.radians(degrees)
    zero = torch.zeros_like(angle)
    rows = torch.stack([angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero], 1).view(-1, 2, 3)
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


STRENGTHS = {
    Corruption.NOISE: (0.04, 0.06, 0.08, 0.09, 0.10),
    Corruption.BLUR: (0.4, 0.6, 0.7, 0.8, 1.0),
    Corruption.BRIGHTNESS: (0.05, 0.1, 0.15, 0.2, 0.3),
    Corruption.CONTRAST: (0.75, 0.5, 0.4, 0.3, 0.15),
    Corruption.JPEG: (80, 65, 58, 50, 40),
    Corruption.SHIFT: (1, 2, 3, 4, 6),
    Corruption.ROTATION: (5, 10, 15, 20, 30),
}

CORRUPTIONS: dict[Corruption, Callable[[Tensor, float, int], Tensor]] = {
    Corruption.NOISE: _add_noise,
    Corruption.BLUR: _blur,
    Corruption.BRIGHTNESS: _brighten,
    Corruption.CONTRAST: _reduce_contrast,
    Corruption.JPEG: _compress,
    Corruption.SHIFT: _shift,
    Corruption.ROTATION: _rotate,
}
