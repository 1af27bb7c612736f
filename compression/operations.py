"""What one image costs in arithmetic."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from compression.compress import CompressedModel, weighted_layers


def layer_macs(module: nn.Module) -> dict[str, int]:
    """Layer name -> multiply-accumulates for one 32x32 image, half the flops of torch.utils.flop_counter."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        module(torch.zeros(1, 3, 32, 32))
    counts = counter.get_flop_counts()
    root = type(module).__name__
    return {name: sum(counts[f"{root}.{name}"].values()) // 2 for name in weighted_layers(module)}


def bit_operations(compressed: CompressedModel, macs: dict[str, int]) -> int:
    """Sum of MACs * weight bits * activation bits over the layers (Baskin et al. 2018, arXiv:1804.10969).

    Zeros count like other weights: dense kernels multiply them all the same.
    """
    return sum(macs[layer.name] * layer.bits * layer.activation_bits for layer in compressed.layers)
