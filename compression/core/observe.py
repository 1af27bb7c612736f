"""Records statistics of the inputs of each layer while images run through a network."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from compression.networks.weights import weighted_layers
from compression.quantization.calibration import BINS, InputStats, LayerInputs

BATCH = 50  # images per batch: twenty batches for a sample of a thousand

MOMENTUM = 0.9  # of the running averages

MAX_COUNT = 2**24  # values per call of torch.histc, which counts in float32

MAX_INPUT = torch.finfo(torch.float32).max / BINS / 2  # in magnitude: torch.histc computes bins in float32


def observe(module: nn.Module, inputs: Tensor) -> LayerInputs:
    """Layer name -> statistics of its inputs, for each convolution and linear layer that an input reaches.

    Runs `inputs` (N, ...) twice through a copy of `module` in eval mode: first for the extremes, then for the
    histograms. Raises ValueError if a layer receives NaN, infinity, or a value above MAX_INPUT in magnitude.
    """
    module = copy.deepcopy(module).eval()  # other threads may run the original meanwhile
    batch_extremes: dict[str, list[tuple[float, float]]] = {}
    counts: dict[str, Tensor] = {}

    def record_extremes(name: str, x: Tensor) -> None:
        low, high = (float(end) for end in x.aminmax())  # one NaN makes both of them NaN
        if not (abs(low) <= MAX_INPUT and abs(high) <= MAX_INPUT):
            raise ValueError(f"the inputs of layer {name} include NaN, infinity or values too large for any range")
        batch_extremes.setdefault(name, []).append((min(low, 0.0), max(high, 0.0)))

    def count(name: str, x: Tensor) -> None:
        for part in x.flatten().split(MAX_COUNT):
            counts[name] = counts.get(name, 0) + torch.histc(part, BINS, *extremes[name]).long()

    _for_each_input(module, inputs, record_extremes)
    extremes = {
        name: (min(low for low, _ in batches), max(high for _, high in batches))
        for name, batches in batch_extremes.items()
    }
    _for_each_input(module, inputs, count)
    return {
        name: InputStats(
            *extremes[name],
            average_low=running_average([low for low, _ in batch_extremes[name]]),
            average_high=running_average([high for _, high in batch_extremes[name]]),
            counts=counts[name],
        )
        for name in weighted_layers(module)
        if name in batch_extremes
    }


def running_average(values: list[float]) -> float:
    """The exponential average of `values`: starts at the first; each next value has the weight 1 - MOMENTUM."""
    average = values[0]
    for value in values[1:]:
        average = MOMENTUM * average + (1 - MOMENTUM) * value
    return average


def _for_each_input(module: nn.Module, inputs: Tensor, record: Callable[[str, Tensor], None]) -> None:
    """Calls `record(layer name, input)` for each layer and each batch of `inputs`."""
    hooks = [
        module.get_submodule(name).register_forward_pre_hook(lambda _, args, name=name: record(name, args[0]))
        for name in weighted_layers(module)
    ]
    with torch.inference_mode():
        for batch in inputs.split(BATCH):
            module(batch)
    for hook in hooks:
        hook.remove()
