"""Residual networks for 32x32 images, He et al. 2016 (arXiv:1512.03385).

Those of section 4.2 have three stages and 6n + 2 layers. ResNet-18 and its siblings (table 1) have four stages; for
small images their first convolution is 3x3 with stride 1, in most public networks without the max-pool after it. Layer
names follow torchvision (`downsample`, `fc`). If a stage halves the image, the shortcut is either a strided 1x1
convolution with batch norm (option B), or it takes every second pixel and pads the channels with zeros on both sides,
without parameters (option A).
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from compression.data.cifar10 import CLASSES
from compression.networks.architectures.stages import Stage, image_mean, run_stages

STAGES = (16, 32, 64)

FOUR_STAGES = (64, 128, 256, 512)


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
    EXPANSION = 1

    def __init__(self, channels_in: int, channels: int, stride: int, option: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels_in, channels, stride, option)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + self.downsample(x))


class Bottleneck(nn.Module):
    """A 1x1 convolution to `channels`, a 3x3 one, and a 1x1 one to four times as many, added to a shortcut."""

    FOLDS = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))
    CHAINS = (("conv1", "conv2"), ("conv2", "conv3"))
    EXPANSION = 4

    def __init__(self, channels_in: int, channels: int, stride: int, option: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels_in, 4 * channels, stride, option)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + self.downsample(x))


class ResNet(nn.Module):
    """(N, 3, 32, 32) images -> (N, classes) logits. One stage for each of `widths`; each stage halves but the first.

    `blocks` are the blocks of each stage, or of all stages if they have equally many: ResNet-20 has 3, and
    6 * blocks + 2 layers. `pool` is a max-pool after the first convolution.
    """

    FOLDS = (("conv1", "bn1"),)

    def __init__(
        self,
        blocks: int | Sequence[int],
        option: str = "B",
        classes: int = len(CLASSES),
        widths: Sequence[int] = STAGES,
        block: type[BasicBlock | Bottleneck] = BasicBlock,
        pool: bool = False,
    ) -> None:
        super().__init__()
        if option not in ("A", "B"):
            raise ValueError(f"shortcut option must be 'A' or 'B', got {option!r}")
        counts = [blocks] * len(widths) if isinstance(blocks, int) else blocks
        channels = widths[0]
        self.conv1 = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        if pool:
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        add_layers_(self, counts, widths, partial(block, option=option), block.EXPANSION)
        self.fc = nn.Linear(block.EXPANSION * widths[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def stages(self) -> tuple[Stage, ...]:
        return self._stem, *layers_of(self), image_mean, self.fc

    def forward(self, x: Tensor) -> Tensor:
        return run_stages(self.stages(), x)

    def _stem(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        return self.maxpool(x) if hasattr(self, "maxpool") else x


def add_layers_(
    network: nn.Module,
    counts: Sequence[int],
    widths: Sequence[int],
    block: Callable[[int, int, int], nn.Module],
    expansion: int = 1,
) -> None:
    """Adds one layer of blocks for each of `widths` to `network`, with as many blocks as `counts` says.

    `block` makes a block from its input channels, its width and its stride; its output has `expansion` times the width.
    The first block of each layer but the first has stride 2.
    """
    channels = widths[0]
    for number, (width, count) in enumerate(zip(widths, counts, strict=True), 1):
        parts = []
        for stride in (1 if number == 1 else 2, *[1] * (count - 1)):
            parts.append(block(channels, width, stride))
            channels = expansion * width
        network.add_module(f"layer{number}", nn.Sequential(*parts))


def layers_of(network: nn.Module) -> list[nn.Module]:
    """Returns what `add_layers_` added, in this order."""
    return [part for name, part in network.named_children() if name.startswith("layer")]


def _shortcut(channels_in: int, channels: int, stride: int, option: str) -> nn.Module:
    if stride == 1 and channels_in == channels:
        return nn.Identity()
    if option == "A":
        return PadShortcut(channels - channels_in)
    return nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
