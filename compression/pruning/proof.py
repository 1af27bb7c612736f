"""A physically smaller network with the same outputs: what was removed, and the proof that the outputs are the same."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compression.networks.macs import layer_macs
from compression.networks.weights import compressible_weights, float_bytes

RANDOM_INPUTS = 4

ROUNDING = 1e-9  # relative to the largest output; in double precision the order of a sum changes it by about 1e-15


@dataclass(frozen=True)
class LayerWidth:
    """The number of output channels of one layer before and after."""

    layer: str
    before: int
    after: int


@dataclass(frozen=True)
class RemainingChannels:
    """Zero filters of one layer that could not be removed, with the reason as part of a sentence."""

    layer: str
    channels: int
    why: str


@dataclass(frozen=True)
class NetworkCost:
    """The cost of a network: multiply-accumulates per input, learned parameters, and bytes of its float32 tensors."""

    macs: int
    parameters: int
    size_bytes: int


@dataclass(frozen=True, eq=False)
class SmallerNetwork:
    """A smaller network, `module`, in eval mode, with the same outputs as the network before.

    `layers` are all of its convolutions and linear layers. `remaining` are the zero filters that could not be removed.
    `largest_difference` is the largest difference between outputs of both networks, computed in double precision for
    `inputs` inputs.
    """

    module: nn.Module
    layers: tuple[LayerWidth, ...]
    remaining: tuple[RemainingChannels, ...]
    before: NetworkCost
    after: NetworkCost
    largest_difference: float
    inputs: int

    @property
    def channels(self) -> int:
        """The number of filters before: output channels of all layers but the last, whose outputs are the classes."""
        return sum(layer.before for layer in self.layers[:-1])

    @property
    def channels_removed(self) -> int:
        """The number of these filters that were removed."""
        return self.channels - sum(layer.after for layer in self.layers[:-1])


class Proof:
    """The outputs of a network, to check whether another network has the same ones.

    The inputs are the examples (N, ...) and, if these are floats, RANDOM_INPUTS inputs of normal noise. Outputs are
    computed in double precision. Rounding then changes them by much less than the tolerance.
    """

    def __init__(self, module: nn.Module, example: Tensor, rounding: float = ROUNDING) -> None:
        """Computes the outputs of `module`. Others may differ from them by `rounding`, relative to the largest one.

        Raises ValueError if `module` does not run on the example in double precision.
        """
        noise = torch.Generator().manual_seed(0)
        count = RANDOM_INPUTS * example.is_floating_point()
        self.example = example[:1]
        self.inputs = torch.cat([example, torch.randn(count, *example.shape[1:], generator=noise).to(example)])
        try:
            self._expected = self._outputs(module)
        except RuntimeError as error:
            raise ValueError(f"the network does not run in double precision on this example: {error}") from error
        self._tolerance = rounding * float(self._expected.abs().max())

    def difference(self, other: nn.Module) -> float:
        """Returns the largest difference between an output of `other` and the expected output."""
        return float((self._outputs(other) - self._expected).abs().max())

    def holds(self, difference: float) -> bool:
        """Returns whether a difference between outputs is within the tolerance for rounding."""
        return difference <= self._tolerance

    def _outputs(self, module: nn.Module) -> Tensor:
        inputs = self.inputs.double() if self.inputs.is_floating_point() else self.inputs
        with torch.no_grad():
            return copy.deepcopy(module).eval().double()(inputs)


def compare(
    before: nn.Module, after: nn.Module, proof: Proof, remaining: tuple[RemainingChannels, ...] = ()
) -> SmallerNetwork:
    """Returns `after` as a SmallerNetwork, with the costs of both networks. `proof` is the proof of `before`."""
    widths = {name: len(weight.channels_first) for name, weight in compressible_weights(after).items()}
    return SmallerNetwork(
        module=after,
        layers=tuple(
            LayerWidth(name, len(weight.channels_first), widths[name])
            for name, weight in compressible_weights(before).items()
        ),
        remaining=remaining,
        before=_cost(before, proof.example),
        after=_cost(after, proof.example),
        largest_difference=proof.difference(after),
        inputs=len(proof.inputs),
    )


def _cost(module: nn.Module, example: Tensor) -> NetworkCost:
    return NetworkCost(
        macs=sum(layer_macs(module, example).values()),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        size_bytes=float_bytes(module),
    )
