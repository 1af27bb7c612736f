"""One way to compress a network, as a frozen value: `CompressionSpec` and its exceptions for single layers.

Specs can be hashed, compared, printed and pickled, and their JSON identifies a result. The float network is
`CompressionSpec("resnet20")`: nothing is pruned or quantized. Each spec is checked when it is created and raises a
ValueError that says what is wrong.
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from compression.spec.checks import FLOAT_BITS, fraction, member
from compression.spec.prune import Criterion, PruneSpec
from compression.spec.quantize import ActivationSpec, Clip, QuantSpec, Scheme, whole_bits
from compression.spec.rounding import RATE_PENALTY, Rounding
from compression.spec.vectors import VectorFormat

SAMPLE_IMAGES = 1000


class Order(StrEnum):
    """Whether batch norm is folded before or after weights are quantized. After folding they are quantized again."""

    FOLD_FIRST = "fold-first"
    QUANTIZE_FIRST = "quantize-first"


class Also(StrEnum):
    """Weights that can be compressed besides those of convolutions and linear layers; see `networks.weights`."""

    EMBEDDING = "embedding"
    RECURRENT = "recurrent"


@dataclass(frozen=True)
class LayerSpec:
    """Settings of one layer that differ from those of the network. None means: as in the rest of the network.

    `bits`: bits per weight, where 32 is float; a float layer also has float inputs. `sparsity`: the share of pruned
    weights or filters, where 0 is not pruned. It uses the criterion and the structure of the network's PruneSpec
    (single weights if that structure is n:m), or prunes weights of small magnitude if the network has none. At least
    one of `bits` and `sparsity` is given.
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
    """One way to compress one network. Raises ValueError for combinations that are not supported.

    `model`: the name of the network; "" if the code that uses the spec knows the network.
    `prune`: how weights are pruned. A PruneSpec that prunes nothing is replaced by None.
    `weights`, `activations`: how weights and inputs of layers are quantized, or None for float.
    `layers`: layers with other settings.
    `fold_bn`: whether batch norm is folded into the convolution before it, as is usual for deployment.
    `order`: when it is folded; reset to the default if nothing is folded or no weights are quantized.
    `also`: other weights to compress.
    `merge`: the share (0..1) of the filters of each layer that is removed by merging, after folding; see
    `pruning.merging`.
    `reestimate_bn`: whether the statistics of batch norm are re-estimated on training images at the end.
    `rounding`: how quantized weights are rounded; reset to nearest if no weights are quantized.
    `rate_penalty`: for rate-aware rounding, how much error a bit per weight is worth: errors of the outputs of layers,
    as shares of their energy, are added. More means fewer bytes; reset to its default for any other rounding.
    `reconstruct`: whether weights that pruning keeps move so that outputs of layers stay; reset if nothing is pruned.
    `repair_activations`, `correct_bias`: whether the spread and the mean of each output channel are given back.
    `equalize`: whether channels between two layers are rescaled so that both use their ranges equally, after folding.
    `vector_format`: how biases and batch norm are stored, and so evaluated, after all other steps.
    `sample_images`: how many training images, the first ones, the steps from `reestimate_bn` to `correct_bias` see;
    reset to its default if there is none of these steps. Criteria and the ranges of inputs always see 1,000.

    All steps from `reestimate_bn` to `equalize` need batch norm that is folded first or not at all, and all but
    `equalize` need training images; `vector_format` needs neither.
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
    rounding: Rounding = Rounding.NEAREST
    reconstruct: bool = False
    repair_activations: bool = False
    correct_bias: bool = False
    equalize: bool = False
    rate_penalty: float = RATE_PENALTY
    vector_format: VectorFormat = VectorFormat.FLOAT32
    sample_images: int = SAMPLE_IMAGES

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", member(Order, self.order))
        object.__setattr__(self, "rounding", member(Rounding, self.rounding))
        object.__setattr__(self, "vector_format", member(VectorFormat, self.vector_format))
        if self.prune and self.prune.takes_nothing:
            object.__setattr__(self, "prune", None)
        if self.merge is not None:
            if not 0 <= self.merge < 1:
                raise ValueError(
                    f"merge must be at least 0 and below 1, since one filter must remain; got {self.merge}"
                )
            object.__setattr__(self, "merge", float(self.merge) or None)
        object.__setattr__(self, "layers", tuple(sorted(self.layers, key=lambda layer: layer.name)))
        object.__setattr__(self, "also", tuple(sorted({member(Also, kind) for kind in self.also})))
        names = [layer.name for layer in self.layers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"layer {name} is given twice")
        if not (self.fold_bn and self.quantizes_weights):
            object.__setattr__(self, "order", Order.FOLD_FIRST)
        if not self.quantizes_weights:
            object.__setattr__(self, "rounding", Rounding.NEAREST)
        if not self.prunes:
            object.__setattr__(self, "reconstruct", False)
        if self.rounding is not Rounding.RATE_AWARE:
            object.__setattr__(self, "rate_penalty", RATE_PENALTY)
        else:
            self._check_rate()
        if not self.needs_sample:
            object.__setattr__(self, "sample_images", SAMPLE_IMAGES)
        if not (isinstance(self.sample_images, int) and self.sample_images > 0):
            raise ValueError(f"sample_images must be a whole number above 0, got {self.sample_images}")
        self._check_order()

    def _check_rate(self) -> None:
        """Raises ValueError for what rate-aware rounding cannot do."""
        if self.weights and (self.weights.scheme is not Scheme.SYMMETRIC or self.weights.clip is not Clip.FULL):
            raise ValueError(
                "rate-aware rounding chooses the steps of the scheme symmetric by itself: set this scheme and the "
                "clipping range full"
            )
        if not 0 < self.rate_penalty < math.inf:
            raise ValueError(f"rate_penalty must be a finite number above 0, got {self.rate_penalty}")
        object.__setattr__(self, "rate_penalty", float(self.rate_penalty))

    def _check_order(self) -> None:
        """Raises ValueError for steps that need another order of folding."""
        if self.recovers and self.order is Order.QUANTIZE_FIRST:
            raise ValueError(
                "rounding other than nearest, reconstruct, repair_activations and correct_bias need batch norm folded "
                "first or not at all: set the order fold-first"
            )
        if self.equalize and not self.folds_first:
            raise ValueError(
                "equalize needs batch norm folded into the weights first: set fold_bn and the order fold-first"
            )
        if self.merge and (not self.fold_bn or self.order is Order.QUANTIZE_FIRST):
            raise ValueError(
                "merge needs batch norm folded into the filters first: set fold_bn and the order fold-first"
            )

    @property
    def quantizes_weights(self) -> bool:
        """Whether the weights of any layer are quantized."""
        return self.weights is not None or any(layer.bits not in (None, FLOAT_BITS) for layer in self.layers)

    @property
    def prunes(self) -> bool:
        """Whether weights of any layer are pruned."""
        return self.prune is not None or any(layer.sparsity for layer in self.layers)

    @property
    def recovers(self) -> bool:
        """Whether weights, biases or batch norm are set so that the outputs of layers on training images stay."""
        return self.rounding is not Rounding.NEAREST or self.reconstruct or self.repair_activations or self.correct_bias

    @property
    def without_recovery(self) -> "CompressionSpec":
        """The same, but weights are rounded to nearest, and nothing is set or re-estimated from images."""
        return replace(
            self,
            reestimate_bn=False,
            rounding=Rounding.NEAREST,
            reconstruct=False,
            repair_activations=False,
            correct_bias=False,
        )

    @property
    def folds_first(self) -> bool:
        """Whether batch norm is folded before any other step."""
        return self.fold_bn and self.order is Order.FOLD_FIRST

    @property
    def needs_sample(self) -> bool:
        """Whether `compress` needs training images."""
        return self.reestimate_bn or self.recovers

    @property
    def needs_gradients(self) -> bool:
        """Whether `compress` needs gradients of the loss, or of the outputs of layers, on training images."""
        return self.prune is not None and self.prune.criterion in (Criterion.TAYLOR, Criterion.OBS)

    @property
    def takes_seconds(self) -> bool:
        """Whether `compress` takes seconds, so that workers are better sent the network than left to make it again."""
        return self.recovers or self.needs_gradients

    @property
    def needs_calibration(self) -> bool:
        """Whether `compress` needs statistics of the inputs of the layers in the float network."""
        return self.activations is not None

    def to_json(self) -> str:
        """Returns canonical JSON: equal specs have equal strings.

        Settings that came later are left out at their defaults, so the keys of results stored before are valid.
        """
        values = {name: value for name, value in asdict(self).items() if name not in LATER or value != LATER[name]}
        return json.dumps(values, sort_keys=True, separators=(",", ":"))


LATER = {
    "rounding": Rounding.NEAREST,
    "reconstruct": False,
    "repair_activations": False,
    "correct_bias": False,
    "equalize": False,
    "rate_penalty": RATE_PENALTY,
    "vector_format": VectorFormat.FLOAT32,
    "sample_images": SAMPLE_IMAGES,
}  # fields of CompressionSpec with their defaults
