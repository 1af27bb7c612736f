"""A layer as a matrix product: its weight as rows, and its inputs as columns, for each group of channels.

    weight   (C_out, C_in / groups, k ...)  ->  rows     (groups, C_out / groups, d),  d = C_in / groups * k ...
    inputs   (N, C_in, ...)                 ->  columns  (groups, n, d), one line per sampled position of the output

Then outputs are columns @ rows^T + bias. A depthwise convolution has a group per channel, a linear layer one group.
"""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d


def has_rows(layer: nn.Module) -> bool:
    """Whether the outputs of `layer` are the product of its weight and its inputs in the form of this module."""
    return isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d))


def layers_with_rows(network: nn.Module, names: Iterable[str]) -> list[str]:
    """Returns those of `names` that are layers of `network` with rows, in their order."""
    modules = dict(network.named_modules())
    return [name for name in names if name in modules and has_rows(modules[name])]


def weight_groups(layer: nn.Module) -> int:
    """Returns the number of groups of channels that `layer` treats separately."""
    return layer.groups if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d)) else 1


def as_rows(weight: Tensor, groups: int) -> Tensor:
    """weight (C_out, ...) -> rows (groups, C_out / groups, d)."""
    return weight.reshape(groups, len(weight) // groups, -1)


def output_positions(layer: nn.Module, inputs: Tensor) -> int:
    """Returns how many outputs per channel `layer` has for each element of the batch `inputs` (N, ...)."""
    if isinstance(layer, nn.Linear):
        return inputs[0].numel() // inputs.shape[-1]
    assert isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d))
    return math.prod(_output_shape(layer, _padded(layer, inputs[:1])))


def sampled_columns(layer: nn.Module, inputs: Tensor, positions: Tensor) -> Tensor:
    """inputs (N, ...), positions (N, p) int64, flat places in the output -> columns (groups, N * p, d) float32.

    The columns of a convolution are the patches under its kernel, with padding, stride and dilation.
    """
    if isinstance(layer, nn.Linear):
        lines = inputs.reshape(len(inputs), -1, inputs.shape[-1])
        return lines.gather(1, positions[:, :, None].expand(-1, -1, lines.shape[2])).flatten(0, 1)[None]
    assert isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d))
    padded = _padded(layer, inputs)
    shape = _output_shape(layer, padded)
    patches = padded.movedim(1, -1)
    for dim, (kernel, stride, dilation) in enumerate(_windows(layer), start=1):
        reach = dilation * (kernel - 1) + 1
        patches = patches.unfold(dim, reach, stride)[..., ::dilation]
    places = torch.unravel_index(positions, shape)
    image = torch.arange(len(inputs))[:, None].expand_as(positions)
    taken = patches[image, *places]  # (N, p, C_in, k ...)
    return taken.reshape(positions.numel(), layer.groups, -1).transpose(0, 1)


def _windows(layer: Convolution) -> list[tuple[int, int, int]]:
    """Returns kernel size, stride and dilation for each dimension of the image."""
    return list(zip(layer.kernel_size, layer.stride, layer.dilation, strict=True))


def _padded(layer: Convolution, inputs: Tensor) -> Tensor:
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return F.pad(inputs, layer._reversed_padding_repeated_twice, mode)


def _output_shape(layer: Convolution, padded: Tensor) -> tuple[int, ...]:
    sizes = zip(padded.shape[2:], _windows(layer), strict=True)
    return tuple((size - dilation * (kernel - 1) - 1) // stride + 1 for size, (kernel, stride, dilation) in sizes)
