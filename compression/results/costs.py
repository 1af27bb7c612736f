"""The costs of a compressed network that are counted, not measured: bytes for each way to store it, and operations."""

from dataclasses import dataclass

from compression.core.record import bit_operations
from compression.files.ledger import count_file
from compression.files.size import count_bytes
from compression.files.stored import compress_network
from compression.networks.macs import layer_macs
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec


@dataclass(frozen=True)
class Costs:
    """Counts for one compressed network. `macs` and `bit_operations` are for one image.

    `weights` is the number of weights, `nonzero` of those that are not zero. The other fields are bytes: `float32` for
    the uncompressed network, `dense` and `sparse` for the two in-memory sizes of `Size`, `coded` for the packed file
    without its container (names, shapes, checksums), and `file` for the whole packed file that `export` writes.
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
        """The share of the weights that are zero, 0..1."""
        return 1 - self.nonzero / self.weights


def costs(model: FloatModel, spec: CompressionSpec) -> Costs:
    """Returns the costs of `model`, compressed as `spec` says. The bytes are those of the packed file, exactly.

    Raises what `compress_network` and `count_file` raise.
    """
    compressed = compress_network(model, spec)
    size, file = count_bytes(compressed), count_file(compressed, model)
    macs = layer_macs(model.module, model.example)
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
