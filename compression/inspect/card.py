"""A network's model card: what its layers are, and how differently wide the weights of their channels are."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compression.networks.weights import CONVOLUTIONS, TRANSPOSED, compressible_weights
from compression.quantization.quantizers import symmetric_qparams

TIMES = "\N{MULTIPLICATION SIGN}"

QUARTILES = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])


@dataclass(frozen=True)
class LayerCard:
    """One convolution or linear layer. `spread`: its widest channel's largest |w| over the median channel's."""

    name: str
    kind: str
    shape: tuple[int, ...]
    weights: int
    macs: int
    spread: float


@dataclass(frozen=True)
class ChannelRanges:
    """The weights of each output channel: smallest, quartiles and largest, each (C_out,).

    `half_step` is half the step of one symmetric scale for the whole tensor: smaller weights round to zero.
    `lost` are the channels in which all do.
    """

    low: tuple[float, ...]
    lower_quartile: tuple[float, ...]
    median: tuple[float, ...]
    upper_quartile: tuple[float, ...]
    high: tuple[float, ...]
    half_step: float
    all_zero: tuple[bool, ...]


def layer_cards(module: nn.Module, macs: dict[str, int]) -> tuple[LayerCard, ...]:
    """The card of each layer with weights, in the order of the modules. `macs`: those of `layer_macs`."""
    modules = dict(module.named_modules())
    cards = []
    for name, weight in compressible_weights(module).items():
        shape, wide = tuple(weight.tensor.shape), spread(weight.channels_first)
        cards.append(LayerCard(name, layer_kind(modules[name]), shape, weight.tensor.numel(), macs[name], wide))
    return tuple(cards)


def layer_kind(layer: nn.Module) -> str:
    """A convolution or a linear layer in short: "depthwise 3x3 /2" has stride 2."""
    if not isinstance(layer, (*CONVOLUTIONS, *TRANSPOSED)):
        return "linear"
    name = "depthwise" if layer.groups == layer.in_channels > 1 else "conv"
    transposed = "transposed " if isinstance(layer, TRANSPOSED) else ""
    stride = f" /{layer.stride[0]}" if layer.stride[0] > 1 else ""
    return f"{transposed}{name} {TIMES.join(map(str, layer.kernel_size))}{stride}"


def spread(weight: Tensor) -> float:
    """The largest |w| of the widest channel over that of the median channel: how badly one scale fits all.

    weight (C_out, ...) -> at least 1; infinite where half of the channels are all zero, 1 where all are.
    """
    reach = weight.detach().flatten(1).abs().amax(1)
    middle, top = float(reach.median()), float(reach.max())
    return top / middle if middle else float("inf") if top else 1.0


def channel_ranges(weight: Tensor, bits: int) -> ChannelRanges:
    """The ranges of the channels of `weight` (C_out, ...), beside the step of one `bits`-bit scale for all of them."""
    flat = weight.detach().flatten(1)
    low, lower, median, upper, high = (tuple(row.tolist()) for row in flat.quantile(QUARTILES, 1))
    half_step = float(symmetric_qparams(*weight.detach().aminmax(), bits).scale) / 2
    lost = tuple((flat.abs().amax(1) <= half_step).tolist())
    return ChannelRanges(low, lower, median, upper, high, half_step, lost)
