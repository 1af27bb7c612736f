"""A network that became physically smaller and still computes the same: what went, and how that was proved."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compression.networks.macs import layer_macs
from compression.networks.weights import compressible_weights, float_bytes

RANDOM_INPUTS = 4

ROUNDING = 1e-9  # of the largest output; in double precision sums in another order differ by some 1e-15


@dataclass(frozen=True)
class LayerWidth:
    """The output channels of one layer before and after."""

    layer: str
    before: int
    after: int


@dataclass(frozen=True)
class RemainingChannels:
    """Channels that could have gone for their own part, and in one sentence why they stayed."""

    layer: str
    channels: int
    why: str


@dataclass(frozen=True)
class NetworkCost:
    """What a network takes: multiply-accumulates for one input, numbers that are learned, bytes of all its floats."""

    macs: int
    parameters: int
    size_bytes: int


@dataclass(frozen=True, eq=False)
class SmallerNetwork:
    """`module`, in eval mode, computes what the network before did.

    `layers`: all of its convolutions and linear layers. `largest_difference`: between the outputs of both, worked out
    in double precision, on `inputs` inputs.
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
        """Output channels of all layers before."""
        return sum(layer.before for layer in self.layers)

    @property
    def channels_removed(self) -> int:
        """Output channels of all layers that went."""
        return self.channels - sum(layer.after for layer in self.layers)


class Proof:
    """What a network answers, and whether another one answers the same.

    It is asked about the examples (N, ...) and, where these are floats, about RANDOM_INPUTS inputs of normal noise. In
    double precision, so that nothing but rounding can be taken for rounding.
    """

    def __init__(self, module: nn.Module, example: Tensor, rounding: float = ROUNDING) -> None:
        """`rounding`: by how much, of the largest output, answers may differ. Raises ValueError where `module` does
        not run on the example in double precision."""
        noise = torch.Generator().manual_seed(0)
        more = RANDOM_INPUTS * example.is_floating_point()
        self.example = example[:1]
        self.inputs = torch.cat([example, torch.randn(more, *example.shape[1:], generator=noise).to(example)])
        try:
            self._expected = self._answers(module)
        except RuntimeError as error:
            raise ValueError(f"the network does not run in double precision on this example: {error}") from error
        self._most = rounding * float(self._expected.abs().max())

    def difference(self, other: nn.Module) -> float:
        """The largest difference between an output of `other` and what it should be."""
        return float((self._answers(other) - self._expected).abs().max())

    def holds(self, difference: float) -> bool:
        return difference <= self._most

    def _answers(self, module: nn.Module) -> Tensor:
        inputs = self.inputs.double() if self.inputs.is_floating_point() else self.inputs
        with torch.no_grad():
            return copy.deepcopy(module).eval().double()(inputs)


def compare(
    before: nn.Module, after: nn.Module, proof: Proof, remaining: tuple[RemainingChannels, ...] = ()
) -> SmallerNetwork:
    """`after`, with what it takes beside `before`; `proof` is that of `before`."""
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
