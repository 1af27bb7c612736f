"""The model card of a network: its layers, and how much the weight ranges of their channels differ."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compression.networks.weights import CONVOLUTIONS, TRANSPOSED, compressible_weights
from compression.quantization.quantizers import symmetric_qparams

TIMES = "\N{MULTIPLICATION SIGN}"

QUARTILES = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])


@dataclass(frozen=True)
class LayerCard:
    """One convolution or linear layer. `spread` is the result of `measure_spread` for its weights."""

    name: str
    kind: str
    shape: tuple[int, ...]
    weights: int
    macs: int
    spread: float


@dataclass(frozen=True)
class ChannelRanges:
    """The weights of each output channel: smallest, quartiles and largest, each (C_out,).

    `half_step` is half the step of one symmetric scale for the whole tensor; smaller weights round to zero. `all_zero`,
    per channel, is whether all of its weights round to zero.
    """

    low: tuple[float, ...]
    lower_quartile: tuple[float, ...]
    median: tuple[float, ...]
    upper_quartile: tuple[float, ...]
    high: tuple[float, ...]
    half_step: float
    all_zero: tuple[bool, ...]


def describe_layers(module: nn.Module, macs: dict[str, int]) -> tuple[LayerCard, ...]:
    """Returns the card of each layer with weights, in the order of the modules. `macs` comes from `layer_macs`."""
    modules = dict(module.named_modules())
    cards = []
    for name, weight in compressible_weights(module).items():
        shape, ratio = tuple(weight.tensor.shape), measure_spread(weight.channels_first)
        cards.append(LayerCard(name, describe_layer(modules[name]), shape, weight.tensor.numel(), macs[name], ratio))
    return tuple(cards)


def describe_layer(layer: nn.Module) -> str:
    """Returns a short description of a layer, such as "linear" or "depthwise 3x3 /2", where 2 is the stride."""
    if not isinstance(layer, (*CONVOLUTIONS, *TRANSPOSED)):
        return "linear"
    name = "depthwise" if layer.groups == layer.in_channels > 1 else "conv"
    transposed = "transposed " if isinstance(layer, TRANSPOSED) else ""
    stride = f" /{layer.stride[0]}" if layer.stride[0] > 1 else ""
    return f"{transposed}{name} {TIMES.join(map(str, layer.kernel_size))}{stride}"


def measure_spread(weight: Tensor) -> float:
    """Returns the largest |w| of the widest channel divided by that of the median channel of weight (C_out, ...).

    The larger this ratio is, the larger is the error of one scale for all channels. It is at least 1. It is infinite if
    half of the channels are all zero, and 1 if all channels are.
    """
    reach = weight.detach().flatten(1).abs().amax(1)
    middle, top = float(reach.median()), float(reach.max())
    return top / middle if middle else float("inf") if top else 1.0


def measure_channel_ranges(weight: Tensor, bits: int) -> ChannelRanges:
    """Returns the ranges of the channels of `weight` (C_out, ...), and the step of one `bits`-bit scale for all."""
    flat = weight.detach().flatten(1)
    low, lower, median, upper, high = (tuple(row.tolist()) for row in flat.quantile(QUARTILES, 1))
    half_step = float(symmetric_qparams(*weight.detach().aminmax(), bits).scale) / 2
    all_zero = tuple((flat.abs().amax(1) <= half_step).tolist())
    return ChannelRanges(low, lower, median, upper, high, half_step, all_zero)
