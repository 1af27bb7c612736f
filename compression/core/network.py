"""A compressed network that knows the float network it comes from: what `import compression as sq` works with."""

from dataclasses import dataclass, fields

from torch import nn

from compression.cached_property import cached_property
from compression.core.record import CompressedModel
from compression.networks.model import FloatModel, contiguous_
from compression.networks.normalization import Normalization


@dataclass(frozen=True, eq=False)
class CompressedNetwork(CompressedModel):
    """The result of `compress`: the compressed layers, and the network that they come from.

    `module` is a new torch network in eval mode with the compressed weights. `layers` has one record for each layer,
    with `bits`, `nonzero`, `weights` and `sqnr_db`. `sparsity` is the share of weights that are zero. `source` is the
    float network, with its architecture and its normalization, or None where a plain nn.Module was compressed.
    """

    source: FloatModel | None = None

    @cached_property
    def module(self) -> nn.Module:
        """As of CompressedModel, with contiguous weights, so that torch.nn.utils.prune works on them."""
        return contiguous_(super().module)


Network = CompressedNetwork | FloatModel | nn.Module


def with_source(compressed: CompressedModel, source: FloatModel | None) -> CompressedNetwork:
    """Returns `compressed` together with the float network that it comes from."""
    parts = {each.name: getattr(compressed, each.name) for each in fields(CompressedModel)}
    return CompressedNetwork(**parts, source=source)


def module_of(network: Network) -> nn.Module:
    """Returns the torch module of any network."""
    return network if isinstance(network, nn.Module) else network.module


def source_of(compressed: CompressedNetwork) -> FloatModel:
    """Returns the float network. Raises ValueError where it was a plain module, whose architecture is not known."""
    if compressed.source is None:
        raise ValueError(
            f"only networks of a known architecture have a file format, and {compressed.spec.model} was given as a "
            "plain module: load it with sq.load or sq.load_checkpoint"
        )
    return compressed.source


def normalization_of(network: Network) -> Normalization:
    """Returns how the network's inputs are normalized. Raises ValueError for a plain module, where nobody knows."""
    source = network.source if isinstance(network, CompressedNetwork) else network
    if not isinstance(source, FloatModel):
        raise ValueError(
            "the normalization of a plain module is not known: give one of sq.NORMALIZATIONS, "
            'or compress sq.FloatModel("mine", module, normalization)'
        )
    return source.normalization
