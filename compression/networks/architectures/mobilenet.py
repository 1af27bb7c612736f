"""MobileNet (Howard et al. 2017, arXiv:1704.04861) and MobileNetV2 as many public networks for CIFAR-10 have them.

Both have the strides of small images, ReLU after each batch norm, and numbered blocks `layers`. The MobileNetV2 differs
from torchvision's: a shortcut whose channels change is a 1x1 convolution with batch norm.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from compression.data.cifar10 import CLASSES
from compression.networks.architectures.mobilenetv2 import ROWS
from compression.networks.architectures.stages import Stage, image_mean, run_stages

STEM = 32

BLOCKS = (  # channels and stride of each block: table 1 of the paper, with the first strides of 2 left out
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)

LAST = 1280


class SeparableBlock(nn.Module):
    """A 3x3 depthwise convolution and a 1x1 convolution, each with batch norm and ReLU."""

    FOLDS = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_in, 3, stride, padding=1, groups=channels_in, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv2 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class MobileNet(nn.Module):
    """(N, 3, 32, 32) images -> (N, classes) logits."""

    FOLDS = (("conv1", "bn1"),)

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STEM, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        inputs = (STEM, *(channels for channels, _ in BLOCKS))
        self.layers = nn.Sequential(
            *(SeparableBlock(before, *block) for before, block in zip(inputs, BLOCKS, strict=False))
        )
        self.fc = nn.Linear(inputs[-1], classes)

    def stages(self) -> tuple[Stage, ...]:
        return self._stem, self.layers, image_mean, self.fc

    def forward(self, x: Tensor) -> Tensor:
        return run_stages(self.stages(), x)

    def _stem(self, x: Tensor) -> Tensor:
        return F.relu(self.bn1(self.conv1(x)))


class ResidualBlock(nn.Module):
    """1x1 convolution to `expansion` times the channels, 3x3 depthwise, 1x1 back; at stride 1 with a shortcut."""

    FOLDS = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))

    def __init__(self, channels_in: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        expanded = expansion * channels_in
        self.conv1 = nn.Conv2d(channels_in, expanded, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(expanded)
        self.conv2 = nn.Conv2d(expanded, expanded, 3, stride, padding=1, groups=expanded, bias=False)
        self.bn2 = nn.BatchNorm2d(expanded)
        self.conv3 = nn.Conv2d(expanded, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module | None = None
        if stride == 1:
            self.downsample = nn.Identity()
            if channels_in != channels:
                self.downsample = nn.Sequential(
                    nn.Conv2d(channels_in, channels, 1, bias=False), nn.BatchNorm2d(channels)
                )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(out)))))
        return out + self.downsample(x) if self.downsample else out


class ReluMobileNetV2(nn.Module):
    """(N, 3, 32, 32) images -> (N, classes) logits."""

    FOLDS = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STEM, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        channels, blocks = STEM, []
        for row in ROWS:
            for stride in (row.stride, *[1] * (row.repeats - 1)):
                blocks.append(ResidualBlock(channels, row.channels, stride, row.expansion))
                channels = row.channels
        self.layers = nn.Sequential(*blocks)
        self.conv2 = nn.Conv2d(channels, LAST, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(LAST)
        self.fc = nn.Linear(LAST, classes)

    def stages(self) -> tuple[Stage, ...]:
        return self._first, self.layers, self._last, image_mean, self.fc

    def forward(self, x: Tensor) -> Tensor:
        return run_stages(self.stages(), x)

    def _first(self, x: Tensor) -> Tensor:
        return F.relu(self.bn1(self.conv1(x)))

    def _last(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(x)))
