"""Finds the weights of a network that can be compressed, and the dimension of their output channels.

    Linear                           (C_out, C_in)
    Conv1d, Conv2d, Conv3d           (C_out, C_in / groups, kernel ...)
    ConvTranspose1d, 2d, 3d          (C_in, C_out / groups, kernel ...)
    RNN, LSTM, GRU and their cells   (gates * hidden, ...)          on request; a channel is a row of a gate
    Embedding, EmbeddingBag          (entries, dimension)           on request; a channel is an entry

A layer is named after its module. Each weight of a recurrent module is a layer of its own, such as lstm.weight_ih_l0.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.modules.rnn import RNNCellBase

from compression.spec import Also


def weighted_layers(module: nn.Module, also: Collection[Also] = ()) -> dict[str, Tensor]:
    """Layer name -> the weight that is compressed, in the layout of its module."""
    return {name: weight.tensor for name, weight in compressible_weights(module, also).items()}


FLOAT_BYTES = 4


def float_tensors(module: nn.Module) -> list[Tensor]:
    """Returns all floating-point tensors of `module`, buffers included; one with several names occurs once."""
    state = module.state_dict(keep_vars=True).values()
    tensors = {id(value): value for value in state if isinstance(value, Tensor)}
    return [tensor for tensor in tensors.values() if tensor.is_floating_point()]


def float_bytes(module: nn.Module) -> int:
    """The bytes of all floats of `module`, buffers included, as float32. A tensor with several names counts once."""
    return sum(tensor.numel() * FLOAT_BYTES for tensor in float_tensors(module))


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)

RECURRENT = (nn.RNNBase, RNNCellBase)

EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


@dataclass(frozen=True, eq=False)
class Weight:
    """A weight in the layout of its module. `transposed_groups`: groups of a transposed convolution, else 0."""

    tensor: Tensor
    transposed_groups: int = 0

    @property
    def channels_first(self) -> Tensor:
        """The weight as (C_out, ...), the layout that quantizers and pruners use."""
        return swap_channels(self.tensor.detach(), self.transposed_groups)


def swap_channels(weight: Tensor, groups: int) -> Tensor:
    """Returns (C_in, C_out / groups, ...) as (C_out, C_in / groups, ...) or back; `weight` itself if `groups` is 0."""
    if not groups:
        return weight
    return weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1).contiguous()


def compressible_weights(module: nn.Module, also: Collection[Also] = ()) -> dict[str, Weight]:
    """Layer name -> weight, in the order of the modules. A weight that layers share is listed once, by its first name.

    `also` adds the weights of other kinds of layers. Raises ValueError if a weight is recomputed from other parameters
    (a parametrization), is not initialised yet, or is not float32 on the CPU.
    """
    weights: dict[str, Weight] = {}
    visited = set()
    for path, layer in module.named_modules():
        for parameter in _weight_names(layer, also):
            name = path if parameter == "weight" else f"{path}.{parameter}".removeprefix(".")
            tensor = _usable_weight(name, layer, parameter)
            if id(tensor) not in visited:
                visited.add(id(tensor))
                weights[name] = Weight(tensor, layer.groups if isinstance(layer, _ConvTransposeNd) else 0)
    return weights


def _weight_names(layer: nn.Module, also: Collection[Also]) -> Iterator[str]:
    """Yields the names of the parameters of `layer` that are compressed."""
    if isinstance(layer, (nn.Linear, *CONVOLUTIONS, *TRANSPOSED)) or (
        isinstance(layer, EMBEDDINGS) and Also.EMBEDDING in also
    ):
        yield "weight"
    if isinstance(layer, RECURRENT) and Also.RECURRENT in also:
        yield from (name for name, _ in layer.named_parameters(recurse=False) if name.startswith("weight_"))


def _usable_weight(name: str, layer: nn.Module, parameter: str) -> Tensor:
    """Returns the weight `parameter` of `layer`. Raises ValueError if it cannot be compressed as it is."""
    weight = layer._parameters.get(parameter)
    if weight is None:
        raise ValueError(
            f"the weight of layer {name} is recomputed from other parameters: make it permanent first "
            "(torch.nn.utils.prune.remove, parametrize.remove_parametrizations, remove_weight_norm)"
        )
    if isinstance(weight, nn.parameter.UninitializedParameter):
        raise ValueError(f"layer {name} is not initialised yet: run the network on an input first")
    if weight.dtype != torch.float32 or weight.device.type != "cpu":
        kind = f"{weight.dtype} on {weight.device}".removeprefix("torch.")
        raise ValueError(
            f"layer {name} is {kind}, and only float32 on the CPU can be compressed: call network.float().cpu() first"
        )
    return weight
