"""Layer collapse: pruning that has left no weight in a layer which nothing bypasses."""

from torch import Tensor

from compression.core.constant import is_constant
from compression.core.record import CompressedModel

INPUTS = 8  # that are compared


def collapsed_layers(network: CompressedModel, inputs: Tensor) -> tuple[str, ...]:
    """Returns the names of layers without a nonzero weight, if therefore all `inputs` (N, ...) have the same output.

    No gradient reaches the weights before such a layer. Source: Tanaka et al. 2020 (arXiv:2006.05467), section 3.
    """
    names = tuple(layer.name for layer in network.layers if not layer.nonzero)
    return names if names and is_constant(network.module, inputs) else ()
