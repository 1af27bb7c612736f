"""What a compressed network costs, counted rather than measured: bytes in every way to store it, and arithmetic."""

from dataclasses import dataclass

from compression.core.compress import compress
from compression.core.record import bit_operations
from compression.core.training_evidence import evidence_for
from compression.files.ledger import written
from compression.files.size import measure
from compression.networks.macs import layer_macs
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec


@dataclass(frozen=True)
class Costs:
    """Weights, and those that are not zero; bytes; multiply-accumulates and bit operations of an image.

    `float32`: the uncompressed network. `dense`, `sparse`, `coded`: the ways that `size` and `waterfall` count.
    `file`: the packed file that `export` writes, with header and all.
    """

    weights: int
    nonzero: int
    float32: int
    dense: int
    sparse: int
    coded: int
    file: int
    macs: int
    bit_operations: int

    @property
    def sparsity(self) -> float:
        """The share of the weights that is zero, 0..1."""
        return 1 - self.nonzero / self.weights


def costs(model: FloatModel, spec: CompressionSpec) -> Costs:
    """All that is to be counted of `model`, compressed as `spec` says; the file is made for it, in memory.

    Raises what `compress` and `written` raise.
    """
    compressed = compress(model.module, spec, evidence_for(model, spec))
    size, file = measure(compressed), written(compressed, model)[1]
    macs = layer_macs(model.module)
    return Costs(
        weights=compressed.weights,
        nonzero=compressed.nonzero,
        float32=size.float32,
        dense=size.dense.total,
        sparse=size.sparse.total,
        coded=file.coded,
        file=file.total,
        macs=sum(macs.values()),
        bit_operations=bit_operations(compressed, macs),
    )
