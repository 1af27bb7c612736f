"""Counts the multiply-accumulates (MACs) of each layer."""

import copy
from collections.abc import Collection
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from compression.networks.weights import CONVOLUTIONS, RECURRENT, TRANSPOSED, weighted_layers
from compression.spec import Also


def layer_macs(module: nn.Module, inputs: Tensor, also: Collection[Also] = ()) -> dict[str, int]:
    """Layer name -> multiply-accumulates for `inputs`; for one image, give a batch of one.

    A recurrent weight is used once per step of each sequence. The count is 0 for embeddings, which multiply nothing,
    for layers that no input reaches, and for layers whose weight another module uses (nn.MultiheadAttention).
    (torch.utils.flop_counter counts the same, but it also counts modules that run in other threads meanwhile.)
    """
    network = copy.deepcopy(module)
    modules = dict(network.named_modules())
    weights = weighted_layers(module, also)
    paths = {name: name if name in modules else name.rpartition(".")[0] for name in weights}
    uses = dict.fromkeys(paths.values(), 0)

    def count(path: str, layer: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        uses[path] += _uses_per_weight(layer, arguments[0], output)

    for path in uses:
        modules[path].register_forward_hook(partial(count, path))
    with torch.inference_mode():
        network(inputs)
    return {name: uses[paths[name]] * weight.numel() for name, weight in weights.items()}


def _uses_per_weight(layer: Any, inputs: Tensor, output: Any) -> int:
    """How often `layer` multiplies by each of its weights: once per position of its output.

    A transposed convolution multiplies once per position of its input, a recurrent layer once per step.
    """
    if isinstance(layer, nn.Linear):
        return output.numel() // layer.out_features
    if isinstance(layer, CONVOLUTIONS):
        return output.numel() // layer.out_channels
    if isinstance(layer, TRANSPOSED):
        return inputs.numel() // layer.in_channels
    return inputs.numel() // layer.input_size if isinstance(layer, RECURRENT) else 0
