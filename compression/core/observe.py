"""What the layers of a network see: images are run through it, and the inputs of each layer are counted."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from compression.networks.weights import weighted_layers
from compression.quantization.calibration import BINS, InputStats, LayerInputs

BATCH = 50  # images: twenty batches of a thousand

MOMENTUM = 0.9  # of the moving averages

MAX_COUNT = 2**24  # at once, for torch counts in float32

WIDEST = torch.finfo(torch.float32).max / BINS / 2  # in magnitude, for it finds their bins in float32 too


def observe(module: nn.Module, inputs: Tensor) -> LayerInputs:
    """Runs `inputs` (N, ...) through a copy of `module` twice: for the extremes, and then for the histograms.

    Layer name -> its stats, for each convolution and linear layer that any input reaches.
    Raises ValueError where a layer sees NaN, infinity, or an input beyond WIDEST.
    """
    module = copy.deepcopy(module).eval()  # others may run the original meanwhile
    ends: dict[str, list[tuple[float, float]]] = {}
    counts: dict[str, Tensor] = {}

    def see_ends(name: str, x: Tensor) -> None:
        low, high = (float(end) for end in x.aminmax())  # a NaN anywhere makes both of them NaN
        if not (abs(low) <= WIDEST and abs(high) <= WIDEST):
            raise ValueError(f"layer {name} sees inputs that are NaN, infinite or nearly so: no range could hold them")
        ends.setdefault(name, []).append((min(low, 0.0), max(high, 0.0)))

    def count(name: str, x: Tensor) -> None:
        for part in x.flatten().split(MAX_COUNT):
            counts[name] = counts.get(name, 0) + torch.histc(part, BINS, *extremes[name]).long()

    _watch(module, inputs, see_ends)
    extremes = {name: (min(low for low, _ in seen), max(high for _, high in seen)) for name, seen in ends.items()}
    _watch(module, inputs, count)
    return {
        name: InputStats(
            *extremes[name],
            average_low=running_average([low for low, _ in ends[name]]),
            average_high=running_average([high for _, high in ends[name]]),
            counts=counts[name],
        )
        for name in weighted_layers(module)
        if name in ends
    }


def running_average(values: list[float]) -> float:
    """The first value; then, one after another, MOMENTUM of the average so far and the rest of the next value."""
    average = values[0]
    for value in values[1:]:
        average = MOMENTUM * average + (1 - MOMENTUM) * value
    return average


def _watch(module: nn.Module, inputs: Tensor, see: Callable[[str, Tensor], None]) -> None:
    """Shows `see` the name and the input of each layer, batch by batch."""
    hooks = [
        module.get_submodule(name).register_forward_pre_hook(lambda _, given, name=name: see(name, given[0]))
        for name in weighted_layers(module)
    ]
    with torch.inference_mode():
        for batch in inputs.split(BATCH):
            module(batch)
    for hook in hooks:
        hook.remove()
