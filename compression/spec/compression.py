"""What to do to a network, as frozen values: they hash, compare, print, pickle and name a result.

This is the glossary of the project. The float model is `CompressionSpec("resnet20")`: nothing pruned,
nothing quantized. Every value is checked where it is made and says in words what is wrong with it.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from compression.spec.checks import FLOAT_BITS, fraction, member
from compression.spec.prune import Criterion, PruneSpec
from compression.spec.quantize import ActivationSpec, QuantSpec, whole_bits


class Order(StrEnum):
    """Whether batch norm is folded before weights are quantized, or after: then they have to be quantized again."""

    FOLD_FIRST = "fold-first"
    QUANTIZE_FIRST = "quantize-first"


class Also(StrEnum):
    """Weights that are compressed on request, beside those of convolutions and linear layers; see `weights`."""

    EMBEDDING = "embedding"
    RECURRENT = "recurrent"


@dataclass(frozen=True)
class LayerSpec:
    """What one layer does differently. None: as the rest of the network. 32 bits: float; sparsity 0: not pruned.

    `bits` are those of its weights; a layer that is float has float inputs too. Its sparsity is by the criterion and of
    the structure that the network has (of weights where that is n:m), and of weights of small magnitude where the
    network is not pruned.
    """

    name: str
    bits: int | None = None
    sparsity: float | None = None

    def __post_init__(self) -> None:
        if self.bits is None and self.sparsity is None:
            raise ValueError(f"layer {self.name}: give bits, sparsity, or both")
        if self.bits is not None:
            object.__setattr__(self, "bits", FLOAT_BITS if self.bits == FLOAT_BITS else whole_bits(self.bits))
        if self.sparsity is not None:
            object.__setattr__(self, "sparsity", fraction(self.sparsity))


@dataclass(frozen=True)
class CompressionSpec:
    """One way to compress one network. Pruning that takes nothing is the same value as no pruning.

    `model`: the name of the network, or "" where the network is given beside the spec.
    `fold_bn`: batch norm goes into the convolution before it first, as it does where networks are deployed. `order`
    says when; where nothing is folded or no weights are quantized it says nothing, and is the default.
    `also`: other weights to compress.
    `merge`: the share (0..1) of the filters of each layer that are merged away after that; see `merging`.
    `reestimate_bn`: the statistics of batch norms are taken anew, on training images, when all else is done.
    """

    model: str = ""
    prune: PruneSpec | None = None
    weights: QuantSpec | None = None
    layers: tuple[LayerSpec, ...] = ()
    fold_bn: bool = False
    activations: ActivationSpec | None = None
    order: Order = Order.FOLD_FIRST
    also: tuple[Also, ...] = ()
    merge: float | None = None
    reestimate_bn: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", member(Order, self.order))
        if self.prune and self.prune.takes_nothing:
            object.__setattr__(self, "prune", None)
        if self.merge is not None:
            if not 0 <= self.merge < 1:
                raise ValueError(f"merge must be at least 0 and below 1, for one filter stays: got {self.merge}")
            object.__setattr__(self, "merge", float(self.merge) or None)
        object.__setattr__(self, "layers", tuple(sorted(self.layers, key=lambda layer: layer.name)))
        object.__setattr__(self, "also", tuple(sorted({member(Also, kind) for kind in self.also})))
        names = [layer.name for layer in self.layers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"layer {name} is given twice")
        if not (self.fold_bn and self.quantizes_weights):
            object.__setattr__(self, "order", Order.FOLD_FIRST)
        if self.merge and (not self.fold_bn or self.order is Order.QUANTIZE_FIRST):
            raise ValueError("filters are merged with batch norm folded into them: merge needs fold_bn, and that first")

    @property
    def quantizes_weights(self) -> bool:
        """Whether the weights of any layer become integers."""
        return self.weights is not None or any(layer.bits not in (None, FLOAT_BITS) for layer in self.layers)

    @property
    def folds_first(self) -> bool:
        """Whether batch norm is folded before anything else is done."""
        return self.fold_bn and self.order is Order.FOLD_FIRST

    @property
    def needs_sample(self) -> bool:
        """Whether `compress` must see training images for it."""
        return self.reestimate_bn

    @property
    def needs_gradients(self) -> bool:
        """Whether `compress` must know which way the loss on training images goes as weights move."""
        return self.prune is not None and self.prune.criterion is Criterion.TAYLOR

    @property
    def needs_calibration(self) -> bool:
        """Whether `compress` must know what the float network's layers see."""
        return self.activations is not None

    def to_json(self) -> str:
        """Canonical: equal specs give equal strings."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
