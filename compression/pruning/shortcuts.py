"""Shortcuts that pad with zeros (option A of ResNet), in a form from which channels can be removed.

The padding determines which input channel becomes which output channel. torch-pruning does not take that into account
and would remove the wrong channels. While channels are removed, the shortcut is therefore a convolution with one weight
per channel, which torch-pruning handles correctly.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compression.networks.architectures.resnet import BasicBlock, PadShortcut


class PickShortcut(nn.Module):
    """(N, C, H, W) -> (N, C', ceil(H/2), ceil(W/2)): channel i is channel `source[i]`, or zeros if that is -1."""

    source: Tensor

    def __init__(self, source: Tensor) -> None:
        super().__init__()
        self.register_buffer("source", source)

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 1))[:, self.source]


class _OneWeight(nn.Conv2d):
    """A shortcut while channels are removed: weight 1 from the source of each channel, 0 from the others."""


def as_convolutions_(module: nn.Module) -> nn.Module:
    """Replaces the padding shortcuts of `module` by convolutions, and returns it."""
    for block in module.modules():
        if isinstance(block, BasicBlock) and isinstance(block.downsample, PadShortcut):
            pad, channels_in = block.downsample, block.conv1.in_channels
            conv = _OneWeight(channels_in, pad.before + channels_in + pad.after, 1, stride=2, bias=False)
            weight = F.pad(torch.eye(channels_in), (0, 0, pad.before, pad.after))
            conv.weight = nn.Parameter(weight[:, :, None, None].to(block.conv1.weight))
            block.downsample = conv
    return module


def as_shortcuts_(module: nn.Module) -> nn.Module:
    """Replaces the convolutions of `as_convolutions_` by shortcuts, and returns `module`."""
    for block in module.modules():
        if isinstance(block, BasicBlock) and isinstance(block.downsample, _OneWeight):
            value, source = block.downsample.weight.flatten(1).max(1)
            block.downsample = PickShortcut(torch.where(value > 0, source, -1))
    return module
