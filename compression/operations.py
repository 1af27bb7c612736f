"""What one image, or whatever else a network takes, costs in arithmetic."""

from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from compression.compress import CompressedModel, weighted_layers
from compression.integers import layer_input
from compression.spec import Also


def layer_macs(module: nn.Module, inputs: Tensor | None = None, also: Collection[Also] = ()) -> dict[str, int]:
    """Layer name -> multiply-accumulates for `inputs`, or one 32x32 image: half the flops of torch.utils.flop_counter.

    A recurrent weight multiplies every step of the sequences once. Embeddings multiply nothing; and 0 stands for a
    layer, too, that no input goes through, or that another module multiplies with (nn.MultiheadAttention).
    """
    inputs = torch.zeros(1, 3, 32, 32) if inputs is None else inputs
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        module(inputs)
    counts = counter.get_flop_counts()
    root = type(module).__name__
    modules = dict(module.named_modules())

    def macs(name: str, weight: Tensor) -> int:
        if name in modules:
            return sum(counts.get(f"{root}.{name}".removesuffix("."), {}).values()) // 2
        path = name.rpartition(".")[0]
        return layer_input(module, path, inputs).numel() // int(modules[path].input_size) * weight.numel()

    return {name: macs(name, weight) for name, weight in weighted_layers(module, also).items()}


def bit_operations(compressed: CompressedModel, macs: dict[str, int]) -> int:
    """Sum of MACs * weight bits * activation bits over the layers (Baskin et al. 2018, arXiv:1804.10969).

    Zeros count like other weights: dense kernels multiply them all the same.
    """
    return sum(macs[layer.name] * layer.bits * layer.activation_bits for layer in compressed.layers)
