"""Shortcuts that pad with zeros (ResNet's option A), as something that a channel can be taken out of.

Which channel of the output is which of the input is fixed by a padding, and torch-pruning takes it for none at all:
it would take channels away that belong to others. As a convolution of one weight a channel it is what it says.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compression.networks.architectures.resnet import BasicBlock, PadShortcut


class PickShortcut(nn.Module):
    """(N, C, H, W) -> (N, C', ceil(H/2), ceil(W/2)): channel i is channel `source[i]`, or zero where that is -1."""

    source: Tensor

    def __init__(self, source: Tensor) -> None:
        super().__init__()
        self.register_buffer("source", source)

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 1))[:, self.source]


class _OneWeight(nn.Conv2d):
    """A shortcut for as long as channels are taken out: a weight of 1 where a channel comes from, 0 elsewhere."""


def as_convolutions_(module: nn.Module) -> nn.Module:
    """`module`, its padding shortcuts replaced."""
    for block in module.modules():
        if isinstance(block, BasicBlock) and isinstance(block.downsample, PadShortcut):
            pad, channels_in = block.downsample, block.conv1.in_channels
            conv = _OneWeight(channels_in, pad.before + channels_in + pad.after, 1, stride=2, bias=False)
            weight = F.pad(torch.eye(channels_in), (0, 0, pad.before, pad.after))
            conv.weight = nn.Parameter(weight[:, :, None, None].to(block.conv1.weight))
            block.downsample = conv
    return module


def as_shortcuts_(module: nn.Module) -> nn.Module:
    """`module`, what `as_convolutions_` made of its shortcuts made shortcuts again."""
    for block in module.modules():
        if isinstance(block, BasicBlock) and isinstance(block.downsample, _OneWeight):
            value, source = block.downsample.weight.flatten(1).max(1)
            block.downsample = PickShortcut(torch.where(value > 0, source, -1))
    return module
