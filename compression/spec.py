"""What to do to a network, as frozen values: they hash, compare, print, pickle and name a result.

This is the glossary of the project. The float model is `CompressionSpec("resnet20")`: nothing pruned,
nothing quantized. Every value is checked where it is made and says in words what is wrong with it.
"""

import json
import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TypeVar

E = TypeVar("E", bound=StrEnum)

FLOAT_BITS = 32
MIN_BITS, MAX_BITS = 2, 16


class Scheme(StrEnum):
    """Which integers stand for which weights; see `quantizers` for the formulas."""

    SYMMETRIC = "symmetric"
    AFFINE = "affine"
    MIN_MAX = "min-max"
    POWER_OF_TWO = "power-of-two"
    K_MEANS = "k-means"
    TERNARY = "ternary"
    BINARY = "binary"

    @property
    def bits(self) -> range:
        """The bit widths that it can have."""
        return BITS.get(self, range(MIN_BITS, MAX_BITS + 1))

    def nearest_bits(self, bits: int) -> int:
        """`bits`, or the nearest width that it can have."""
        return min(max(bits, self.bits[0]), self.bits[-1])

    @property
    def clips(self) -> bool:
        """Whether it covers a range, that could be clipped; the others find values of their own."""
        return self in (Scheme.SYMMETRIC, Scheme.AFFINE, Scheme.MIN_MAX)


BITS = {
    Scheme.K_MEANS: range(1, 9),  # beyond, its codebooks outgrow what the codes save
    Scheme.TERNARY: range(2, 3),
    Scheme.BINARY: range(1, 2),
}


class Clip(StrEnum):
    """Which range of the weights the integers cover; see `clips`. What lies beyond goes to its ends."""

    FULL = "full"
    PERCENTILE = "percentile"
    STDS = "stds"
    MEANS = "means"
    LEAST_ERROR = "least-error"
    GAUSSIAN = "gaussian"
    LAPLACE = "laplace"


class Calibration(StrEnum):
    """Which range of a layer's inputs the integers cover; see `calibration`."""

    MIN_MAX = "min-max"
    MOVING_AVERAGE = "moving-average"
    PERCENTILE = "percentile"
    LEAST_ERROR = "least-error"
    KL = "kl"


class Order(StrEnum):
    """Whether batch norm is folded before weights are quantized, or after: then they have to be quantized again."""

    FOLD_FIRST = "fold-first"
    QUANTIZE_FIRST = "quantize-first"


class Granularity(StrEnum):
    """How many weights share one scale: the whole tensor, or one output channel of it."""

    TENSOR = "tensor"
    CHANNEL = "channel"


class Also(StrEnum):
    """Weights that are compressed on request, beside those of convolutions and linear layers; see `weights`."""

    EMBEDDING = "embedding"
    RECURRENT = "recurrent"


class Scope(StrEnum):
    """Where a sparsity target holds: over the whole network, or in each layer."""

    GLOBAL = "global"
    LAYER = "layer"


@dataclass(frozen=True)
class QuantSpec:
    """Weights as `bits`-bit integers with a scale."""

    bits: int
    scheme: Scheme = Scheme.SYMMETRIC
    granularity: Granularity = Granularity.CHANNEL
    clip: Clip = Clip.FULL

    def __post_init__(self) -> None:
        object.__setattr__(self, "scheme", _member(Scheme, self.scheme))
        object.__setattr__(self, "bits", _whole_bits(self.bits, self.scheme))
        object.__setattr__(self, "granularity", _member(Granularity, self.granularity))
        object.__setattr__(self, "clip", _member(Clip, self.clip))
        if self.clip is not Clip.FULL and not self.scheme.clips:
            raise ValueError(f"{self.scheme} weights find values of their own: there is no range to clip")


@dataclass(frozen=True)
class ActivationSpec:
    """The inputs of convolutions and linear layers as `bits`-bit integers, one scale and zero point a layer (affine).

    The range that they cover is fixed beforehand, from what the float network sees of training images.
    """

    bits: int
    calibration: Calibration = Calibration.MIN_MAX

    def __post_init__(self) -> None:
        object.__setattr__(self, "calibration", _member(Calibration, self.calibration))
        if self.bits not in range(MIN_BITS, MAX_BITS + 1):
            raise ValueError(f"activation bits must be a whole number in {MIN_BITS}..{MAX_BITS}, got {self.bits}")
        object.__setattr__(self, "bits", int(self.bits))


@dataclass(frozen=True)
class PruneSpec:
    """Weights of small magnitude set to zero: all with |w| < threshold, or the smallest up to a sparsity.

    Exactly one of `threshold` (in units of the weights) and `sparsity` (0..1) is given. `scope` belongs to
    the sparsity target; a threshold is the same number in every layer.
    """

    threshold: float | None = None
    sparsity: float | None = None
    scope: Scope = Scope.GLOBAL

    def __post_init__(self) -> None:
        object.__setattr__(self, "scope", _member(Scope, self.scope))
        if (self.threshold is None) == (self.sparsity is None):
            raise ValueError(
                "pruning takes a threshold or a sparsity target, "
                + ("and got neither" if self.threshold is None else "not both: each one implies the other")
            )
        if self.threshold is not None:
            object.__setattr__(self, "threshold", float(self.threshold))
            if not (self.threshold >= 0 and math.isfinite(self.threshold)):
                raise ValueError(f"threshold must be a number of at least 0, got {self.threshold}")
            if self.scope is Scope.LAYER:
                raise ValueError("a threshold is the same in every layer; scope goes with a sparsity target")
        if self.sparsity is not None:
            object.__setattr__(self, "sparsity", _fraction(self.sparsity))


@dataclass(frozen=True)
class LayerSpec:
    """What one layer does differently. None: as the rest of the network. 32 bits: float; sparsity 0: not pruned.

    `bits` are those of its weights; a layer that is float has float inputs too.
    """

    name: str
    bits: int | None = None
    sparsity: float | None = None

    def __post_init__(self) -> None:
        if self.bits is None and self.sparsity is None:
            raise ValueError(f"layer {self.name}: give bits, sparsity, or both")
        if self.bits is not None:
            object.__setattr__(self, "bits", FLOAT_BITS if self.bits == FLOAT_BITS else _whole_bits(self.bits))
        if self.sparsity is not None:
            object.__setattr__(self, "sparsity", _fraction(self.sparsity))


@dataclass(frozen=True)
class CompressionSpec:
    """One way to compress one network. Pruning that takes nothing is the same value as no pruning.

    `fold_bn`: batch norm goes into the convolution before it first, as it does where networks are deployed. `order`
    says when; where nothing is folded or no weights are quantized it says nothing, and is the default.
    `also`: other weights to compress.
    `merge`: the share (0..1) of the filters of each layer that are merged away after that; see `merging`.
    """

    model: str
    prune: PruneSpec | None = None
    weights: QuantSpec | None = None
    layers: tuple[LayerSpec, ...] = ()
    fold_bn: bool = False
    activations: ActivationSpec | None = None
    order: Order = Order.FOLD_FIRST
    also: tuple[Also, ...] = ()
    merge: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", _member(Order, self.order))
        if self.prune and not (self.prune.threshold or self.prune.sparsity):
            object.__setattr__(self, "prune", None)
        if self.merge is not None:
            if not 0 <= self.merge < 1:
                raise ValueError(f"merge must be at least 0 and below 1, for one filter stays: got {self.merge}")
            object.__setattr__(self, "merge", float(self.merge) or None)
        object.__setattr__(self, "layers", tuple(sorted(self.layers, key=lambda layer: layer.name)))
        object.__setattr__(self, "also", tuple(sorted({_member(Also, kind) for kind in self.also})))
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
    def needs_sample(self) -> bool:
        """Whether `compress` must see training images for it."""
        return False

    @property
    def needs_calibration(self) -> bool:
        """Whether `compress` must know what the float network's layers see."""
        return self.activations is not None

    def to_json(self) -> str:
        """Canonical: equal specs give equal strings."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))


def _member(enum: type[E], value: str) -> E:
    try:
        return enum(value)
    except ValueError:
        names = ", ".join(enum)
        raise ValueError(f"{enum.__name__.lower()} must be one of {names}, got {value!r}") from None


def _whole_bits(bits: float, scheme: Scheme = Scheme.SYMMETRIC) -> int:
    able = scheme.bits
    if bits not in able:
        widths = f"a whole number in {able[0]}..{able[-1]}" if len(able) > 1 else str(able[0])
        whose = f" of {scheme} weights" if scheme in BITS else ""
        hint = ": one bit leaves a symmetric quantizer the code 0 alone" if bits == 1 else ""
        raise ValueError(f"bits{whose} must be {widths}, got {bits}{hint}")
    return int(bits)


def _fraction(sparsity: float) -> float:
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    return float(sparsity)
