"""RepVGG, Ding et al. 2021 (arXiv:2101.03697), for 32x32 images: strides of 1 in the first two stages.

The network as it is trained: each block adds the outputs of a 3x3 convolution, a 1x1 convolution and, if the shapes are
equal, a batch norm alone. Layer names follow the authors.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from compression.data.cifar10 import CLASSES
from compression.networks.architectures.stages import Stage, image_mean, run_stages

REPEATS = (2, 4, 14, 1)

WIDTHS = {"a0": (48, 96, 192, 1280), "a1": (64, 128, 256, 1280), "a2": (96, 192, 384, 1408)}  # the paper's table 3


class ConvNorm(nn.Module):
    """A convolution and its batch norm."""

    FOLDS = (("conv", "bn"),)

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class Block(nn.Module):
    """(N, C, H, W) -> (N, channels, H / stride, W / stride): ReLU of the sum of the branches."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.rbr_dense = ConvNorm(channels_in, channels, 3, stride)
        self.rbr_1x1 = ConvNorm(channels_in, channels, 1, stride)
        self.rbr_identity = nn.BatchNorm2d(channels) if channels_in == channels and stride == 1 else None

    def forward(self, x: Tensor) -> Tensor:
        out = self.rbr_dense(x) + self.rbr_1x1(x)
        return F.relu(out if self.rbr_identity is None else out + self.rbr_identity(x))


class RepVGG(nn.Module):
    """(N, 3, 32, 32) images -> (N, classes) logits. `widths` are the channels of the four stages."""

    def __init__(self, widths: tuple[int, ...], classes: int = len(CLASSES)) -> None:
        super().__init__()
        first = min(64, widths[0])
        self.stage0 = Block(3, first, 1)
        self.stage1, self.stage2, self.stage3, self.stage4 = (
            nn.Sequential(Block(before, after, stride), *(Block(after, after, 1) for _ in range(repeats - 1)))
            for before, after, stride, repeats in zip((first, *widths), widths, (1, 2, 2, 2), REPEATS, strict=False)
        )
        self.linear = nn.Linear(widths[-1], classes)

    def stages(self) -> tuple[Stage, ...]:
        return self.stage0, self.stage1, self.stage2, self.stage3, self.stage4, image_mean, self.linear

    def forward(self, x: Tensor) -> Tensor:
        return run_stages(self.stages(), x)
