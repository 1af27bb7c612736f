"""MobileNetV2 for 32x32 images: inverted residuals, depthwise convolutions, Sandler et al. 2018 (arXiv:1801.04381).

Layer names follow torchvision (`features`, `classifier`). Its depthwise convolutions have nine weights per channel, and
their ranges differ widely between channels, so one scale per tensor fits few of them (Nagel et al. 2019,
arXiv:1906.04721, figure 2).
"""

from typing import NamedTuple

from torch import Tensor, nn

from compression.data.cifar10 import CLASSES
from compression.networks.architectures.stages import Stage, image_mean, run_stages


class Row(NamedTuple):
    """A row of the paper's table 2: `repeats` blocks, of which the first has `stride`."""

    expansion: int
    channels: int
    repeats: int
    stride: int


ROWS = (  # the paper's, except that the second stride is 1, for small images
    Row(1, 16, 1, 1),
    Row(6, 24, 2, 1),
    Row(6, 32, 3, 2),
    Row(6, 64, 4, 2),
    Row(6, 96, 3, 1),
    Row(6, 160, 3, 2),
    Row(6, 320, 1, 1),
)

SMALL = (Row(1, 16, 1, 1), Row(4, 24, 3, 2), Row(5, 48, 4, 2), Row(6, 96, 3, 2))


def conv_norm(channels_in: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Returns a convolution that keeps the image size at stride 1, and its batch norm."""
    conv = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(channels)]


def conv_norm_relu6(*args: int, **kwargs: int) -> nn.Sequential:
    return nn.Sequential(*conv_norm(*args, **kwargs), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """1x1 convolution to `expansion` times the channels, 3x3 depthwise, 1x1 back; a shortcut if shapes are equal."""

    def __init__(self, channels_in: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        expanded = channels_in * expansion
        self.conv = nn.Sequential(
            *([conv_norm_relu6(channels_in, expanded)] if expansion > 1 else []),
            conv_norm_relu6(expanded, expanded, kernel=3, stride=stride, groups=expanded),
            *conv_norm(expanded, channels),
        )
        self.shortcut = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    """(N, 3, 32, 32) images -> (N, classes) logits. `stem` and `last` are the channels before and after the blocks.

    `widths` replace the channels of the stem, of each row, and of the last convolution.
    """

    def __init__(
        self,
        rows: tuple[Row, ...],
        stem: int,
        last: int,
        classes: int = len(CLASSES),
        widths: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        if widths:
            stem, *channels_of_rows, last = widths
            rows = tuple(row._replace(channels=own) for row, own in zip(rows, channels_of_rows, strict=True))
        layers: list[nn.Module] = [conv_norm_relu6(3, stem, kernel=3)]
        channels = stem
        for expansion, width, repeats, first_stride in rows:
            for stride in (first_stride, *(1,) * (repeats - 1)):
                layers.append(InvertedResidual(channels, width, stride, expansion))
                channels = width
        self.features = nn.Sequential(*layers, conv_norm_relu6(channels, last))
        self.classifier = nn.Sequential(nn.Identity(), nn.Linear(last, classes))  # torchvision has a dropout there
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def stages(self) -> tuple[Stage, ...]:
        return self.features, image_mean, self.classifier

    def forward(self, x: Tensor) -> Tensor:
        return run_stages(self.stages(), x)


def scaled_widths(factor: float) -> tuple[int, ...]:
    """Returns the widths of the paper's network times `factor`, rounded to multiples of eight."""
    channels = (32, *(row.channels for row in ROWS))
    return (*(_multiple_of_eight(factor * each) for each in channels), _multiple_of_eight(max(1.0, factor) * 1280))


def _multiple_of_eight(channels: float) -> int:
    """The nearest multiple of eight, or the next one if rounding down loses over a tenth, as in the authors' code."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8
