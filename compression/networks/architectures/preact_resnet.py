"""Residual networks with batch norm and ReLU before each convolution, He et al. 2016 (arXiv:1603.05027).

As many public networks for CIFAR-10 have them: a 3x3 convolution at the start, no batch norm before the linear layer,
and shortcuts of 1x1 convolutions without batch norm, which take the activations and not the sums.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from compression.data.cifar10 import CLASSES
from compression.networks.architectures.resnet import FOUR_STAGES, add_layers_, layers_of
from compression.networks.architectures.stages import Stage, image_mean, run_stages


class PreActBlock(nn.Module):
    """Batch norm, ReLU and a 3x3 convolution, twice; the result is added to that of a shortcut."""

    FOLDS = (("conv1", "bn2"),)
    CHAINS = (("conv1", "conv2"),)

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        shortcut = self.downsample(active) if self.downsample else x
        return self.conv2(F.relu(self.bn2(self.conv1(active)))) + shortcut


class PreActResNet(nn.Module):
    """(N, 3, 32, 32) images -> (N, classes) logits. Each stage has `blocks` blocks; each but the first halves."""

    def __init__(self, blocks: int, classes: int = len(CLASSES), widths: Sequence[int] = FOUR_STAGES) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        add_layers_(self, [blocks] * len(widths), widths, PreActBlock)
        self.fc = nn.Linear(widths[-1], classes)

    def stages(self) -> tuple[Stage, ...]:
        return self.conv1, *layers_of(self), image_mean, self.fc

    def forward(self, x: Tensor) -> Tensor:
        return run_stages(self.stages(), x)
