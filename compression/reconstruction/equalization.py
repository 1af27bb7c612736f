"""Cross-layer equalization: each channel between two layers is rescaled so that both use their ranges equally."""

import copy
from typing import cast

import torch
from torch import Tensor, nn

from compression.networks.architectures.resnet import PadShortcut
from compression.pruning.merging import FilterLayer, chains

SCALES_WITH_INPUT = (nn.Identity, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.Dropout, nn.Flatten, PadShortcut)

LARGEST_SCALE = 1e4  # of a channel, in either direction


def equalize(module: nn.Module) -> nn.Module:
    r"""Returns a copy of `module` that computes the same function with equal ranges on both sides of each channel.

    Formula: s_i = \sqrt{r^{(1)}_i / r^{(2)}_i}, \quad w^{(1)}_i \leftarrow w^{(1)}_i / s_i, \quad
        b^{(1)}_i \leftarrow b^{(1)}_i / s_i, \quad w^{(2)}_{\cdot i} \leftarrow s_i\, w^{(2)}_{\cdot i}, with the
        largest magnitudes r of the weights
    Source: Nagel et al. 2019 (arXiv:1906.04721), section 4.1.
    Fails: to help where each channel has a scale of its own: the first layer's ranges then do not matter. It is exact
        only if what lies between scales with its input, as ReLU does and ReLU6 does not, if the second layer alone
        reads the first, and if batch norm is folded. Other layers stay as they are.

    Raises ValueError if the network has no such pair of layers.
    """
    module = copy.deepcopy(module)
    pairs = equalizable(module)
    if not pairs:
        raise ValueError(
            "nothing can be equalized: no two layers of the network have only a ReLU or a pooling between them, with "
            "batch norm folded"
        )
    for names in pairs:
        first, second = (module.get_submodule(name) for name in names)
        _equalize_(cast(FilterLayer, first), cast(FilterLayer, second))
    return module


def equalizable(module: nn.Module) -> list[tuple[str, str]]:
    """Returns the pairs of layers whose channels can be rescaled exactly, in the order of modules."""
    return [pair for pair in chains(module) if _scales_with_input(parts_between(module, *pair))]


def _scales_with_input(parts: list[nn.Module]) -> bool:
    return all(isinstance(part, SCALES_WITH_INPUT) for part in parts)


def parts_between(module: nn.Module, first: str, second: str) -> list[nn.Module]:
    """Returns what may lie between two layers of one parent, without layers that have weights.

    Of an nn.Sequential these are the layers between the two. A parent of another kind names its pairs itself and may
    have any of its parts between them.
    """
    parent = module.get_submodule(first.rpartition(".")[0])
    if isinstance(parent, nn.Sequential):
        names = list(parent._modules)
        start, stop = (names.index(name.rpartition(".")[2]) for name in (first, second))
        return [parent[index] for index in range(start + 1, stop)]
    return [leaf for leaf in parent.modules() if not any(leaf.children()) and not isinstance(leaf, FilterLayer)]


def _equalize_(first: FilterLayer, second: FilterLayer) -> None:
    """Rescales the output channels of `first` and the input channels of `second`, which reads them in order."""
    outgoing = first.weight.detach().flatten(1)
    incoming = _by_input_channel(second, len(outgoing))
    ranges = outgoing.abs().amax(1), incoming.abs().amax((0, 2))
    usable = (ranges[0] > 0) & (ranges[1] > 0)
    scale = torch.where(usable, (ranges[0] / torch.where(usable, ranges[1], 1.0)).sqrt(), 1.0)
    scale = scale.clamp(1 / LARGEST_SCALE, LARGEST_SCALE)
    with torch.no_grad():
        first.weight.copy_((outgoing / scale[:, None]).view_as(first.weight))
        if first.bias is not None:
            first.bias.div_(scale)
        second.weight.copy_((incoming * scale[:, None]).reshape(second.weight.shape))


def _by_input_channel(layer: FilterLayer, channels: int) -> Tensor:
    """Returns the weight (C_out, ...) as (C_out, channels, k): k weights of each filter read one channel."""
    return layer.weight.detach().reshape(len(layer.weight), channels, -1)
