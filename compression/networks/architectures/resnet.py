"""Residual networks for 32x32 images, He et al. 2016 (arXiv:1512.03385), section 4.2.

Layer names follow torchvision (`downsample`, `fc`). If a stage halves the image, the shortcut is either a strided 1x1
convolution with batch norm (option B), or it takes every second pixel and pads the channels with zeros on both sides,
without parameters (option A).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from compression.data.cifar10 import CLASSES
from compression.networks.architectures.stages import Stage, image_mean, run_stages

STAGES = (16, 32, 64)


class PadShortcut(nn.Module):
    """Option A: (N, C, H, W) -> (N, C + new_channels, ceil(H/2), ceil(W/2)); new channels are zero. No parameters."""

    def __init__(self, new_channels: int) -> None:
        super().__init__()
        self.before = new_channels // 2
        self.after = new_channels - self.before

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, whose output is added to that of a shortcut."""

    FOLDS = (("conv1", "bn1"), ("conv2", "bn2"))
    CHAINS = (("conv1", "conv2"),)

    def __init__(self, channels_in: int, channels: int, stride: int, option: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module
        if stride == 1 and channels_in == channels:
            self.downsample = nn.Identity()
        elif option == "A":
            self.downsample = PadShortcut(channels - channels_in)
        else:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + self.downsample(x))


class ResNet(nn.Module):
    """(N, 3, 32, 32) images -> (N, classes) logits; depth = 6 * blocks + 2 (ResNet-20: blocks = 3)."""

    FOLDS = (("conv1", "bn1"),)

    def __init__(self, blocks: int, option: str = "B", classes: int = len(CLASSES)) -> None:
        super().__init__()
        if option not in ("A", "B"):
            raise ValueError(f"shortcut option must be 'A' or 'B', got {option!r}")
        self.conv1 = nn.Conv2d(3, STAGES[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(STAGES[0])
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _stage(STAGES[0], STAGES[0], blocks, 1, option)
        self.layer2 = _stage(STAGES[0], STAGES[1], blocks, 2, option)
        self.layer3 = _stage(STAGES[1], STAGES[2], blocks, 2, option)
        self.fc = nn.Linear(STAGES[2], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def stages(self) -> tuple[Stage, ...]:
        return self._stem, self.layer1, self.layer2, self.layer3, image_mean, self.fc

    def forward(self, x: Tensor) -> Tensor:
        return run_stages(self.stages(), x)

    def _stem(self, x: Tensor) -> Tensor:
        return self.relu(self.bn1(self.conv1(x)))


def _stage(channels_in: int, channels: int, blocks: int, stride: int, option: str) -> nn.Sequential:
    return nn.Sequential(
        BasicBlock(channels_in, channels, stride, option),
        *(BasicBlock(channels, channels, 1, option) for _ in range(blocks - 1)),
    )
