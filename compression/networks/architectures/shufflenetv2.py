"""ShuffleNetV2, Ma et al. 2018 (arXiv:1807.11164), for 32x32 images: stride 1 at the start and no max-pool.

Layer names follow torchvision.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compression.data.cifar10 import CLASSES
from compression.networks.architectures.stages import Stage, image_mean, run_stages

REPEATS = (4, 8, 4)

WIDTHS = {  # channels of the first convolution, of the three stages, and of the last convolution: the paper's table 5
    "x0_5": (24, 48, 96, 192, 1024),
    "x1_0": (24, 116, 232, 464, 1024),
    "x1_5": (24, 176, 352, 704, 1024),
    "x2_0": (24, 244, 488, 976, 2048),
}


def _pointwise(channels_in: int, channels: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


def _depthwise(channels: int, stride: int) -> list[nn.Module]:
    conv = nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)
    return [conv, nn.BatchNorm2d(channels)]


class Unit(nn.Module):
    """Convolves half of the channels, passes the other half on, and shuffles both. (N, C, H, W) -> the same shape.

    With stride 2, both branches convolve all channels: (N, C, H, W) -> (N, channels, H / 2, W / 2).
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        half = channels // 2
        self.split = stride == 1
        self.branch1 = nn.Sequential(
            *([] if self.split else _depthwise(channels_in, stride) + _pointwise(channels_in, half))
        )
        inner = half if self.split else channels_in
        self.branch2 = nn.Sequential(*_pointwise(inner, half), *_depthwise(half, stride), *_pointwise(half, half))

    def forward(self, x: Tensor) -> Tensor:
        passing, convolved = x.chunk(2, 1) if self.split else (x, x)
        return F.channel_shuffle(torch.cat((self.branch1(passing), self.branch2(convolved)), 1), 2)


class ShuffleNetV2(nn.Module):
    """(N, 3, 32, 32) images -> (N, classes) logits. `widths` are channels as in WIDTHS."""

    def __init__(self, widths: tuple[int, ...], classes: int = len(CLASSES)) -> None:
        super().__init__()
        first, *stages, last = widths
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, first, 3, padding=1, bias=False), nn.BatchNorm2d(first), nn.ReLU(inplace=True)
        )
        self.stage2, self.stage3, self.stage4 = (
            nn.Sequential(Unit(before, after, 2), *(Unit(after, after, 1) for _ in range(repeats - 1)))
            for before, after, repeats in zip((first, *stages), stages, REPEATS, strict=False)
        )
        self.conv5 = nn.Sequential(*_pointwise(stages[-1], last))
        self.fc = nn.Linear(last, classes)

    def stages(self) -> tuple[Stage, ...]:
        return self.conv1, self.stage2, self.stage3, self.stage4, self.conv5, image_mean, self.fc

    def forward(self, x: Tensor) -> Tensor:
        return run_stages(self.stages(), x)
