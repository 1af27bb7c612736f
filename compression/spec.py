"""What to do to a network, as frozen values: they hash, compare, print, pickle and name a result.

This is the glossary of the project. The float model is `CompressionSpec("resnet20")`: nothing pruned,
nothing quantized. Every value is checked where it is made and says in words what is wrong with it.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TypeVar

E = TypeVar("E", bound=StrEnum)

FLOAT_BITS = 32
MIN_BITS, MAX_BITS = 2, 16
SMALLEST_STEP, LARGEST_STEP = 1e-30, 1e30  # float32 holds these, what they count, and their reciprocals


class Scheme(StrEnum):
    """Which integers stand for which weights; see `quantizers` for the formulas."""

    SYMMETRIC = "symmetric"
    AFFINE = "affine"
    MIN_MAX = "min-max"
    POWER_OF_TWO = "power-of-two"
    K_MEANS = "k-means"
    TERNARY = "ternary"
    BINARY = "binary"
    STEP = "step"

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
    Scheme.STEP: range(MAX_BITS, MAX_BITS + 1),  # at most: how many there are follows from the step
}


FINDING = tuple(scheme for scheme in Scheme if scheme is not Scheme.STEP)  # steps or values, from the weights


class Clip(StrEnum):
    """Which range of the weights the integers cover; see `clips`. What lies beyond goes to its ends."""

    FULL = "full"
    PERCENTILE = "percentile"
    STDS = "stds"
    MEANS = "means"
    LEAST_ERROR = "least-error"
    GAUSSIAN = "gaussian"
    LAPLACE = "laplace"
    KL = "kl"

    @property
    def at(self) -> float | None:
        """Where it cuts unless it is told: a percentile of the magnitudes, standard deviations, mean magnitudes."""
        return CLIPS_AT.get(self)


CLIPS_AT = {Clip.PERCENTILE: 99.9, Clip.STDS: 3.0, Clip.MEANS: 5.0}  # 5 means are a Gaussian's 4 standard deviations


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
    """Which weights share one scale: those of the tensor, of an output channel, or so many of a channel in a row."""

    TENSOR = "tensor"
    CHANNEL = "channel"
    GROUP = "group"


GROUP_SIZE = 64
GROUP_SIZES = range(16, 4097)  # with fewer weights the scales take as much room as the codes


class Only(StrEnum):
    """Which layers a quantizer is for, if not for all."""

    CONV = "conv"
    LINEAR = "linear"


class Also(StrEnum):
    """Weights that are compressed on request, beside those of convolutions and linear layers; see `weights`."""

    EMBEDDING = "embedding"
    RECURRENT = "recurrent"


class Scope(StrEnum):
    """Where a sparsity target holds: over the whole network, or in each layer."""

    GLOBAL = "global"
    LAYER = "layer"


class Unit(StrEnum):
    """What a threshold counts in; see `pruners`. The last two are numbers of the layer's own weights."""

    ABSOLUTE = "absolute"
    STDS = "stds"
    MEANS = "means"


class Criterion(StrEnum):
    """Which score a weight, or a filter, is spared by; see `criteria`."""

    L1 = "l1"
    L2 = "l2"
    RANDOM = "random"
    TAYLOR = "taylor"
    BN_SCALE = "bn-scale"
    SIGNED = "signed"


class Structure(StrEnum):
    """What goes or stays as one: a weight, m - n of m weights in a row, or a filter (an output channel)."""

    WEIGHT = "weight"
    N_M = "n:m"
    FILTER = "filter"


@dataclass(frozen=True)
class QuantSpec:
    """Weights as `bits`-bit integers with a scale.

    `clip_at`: where a clip cuts that takes a number (a percentile, standard deviations, mean magnitudes); None, or the
    same number: where it does by itself. `group_size`: weights in a group, 64 (or as many as a codebook has values) if
    not given; None elsewhere. `step`: of the scheme that is given it, in units of the weights; None elsewhere. It is
    one for the network, whatever the granularity, and its codes take the bits that a layer's range asks for, up to
    `bits`. `only` and `skip_ends` (the first and the last layer with weights stay float) choose layers, unless a
    LayerSpec does.
    """

    bits: int
    scheme: Scheme = Scheme.SYMMETRIC
    granularity: Granularity = Granularity.CHANNEL
    clip: Clip = Clip.FULL
    clip_at: float | None = None
    group_size: int | None = None
    step: float | None = None
    only: Only | None = None
    skip_ends: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "scheme", _member(Scheme, self.scheme))
        object.__setattr__(self, "bits", _whole_bits(self.bits, self.scheme))
        object.__setattr__(self, "granularity", _member(Granularity, self.granularity))
        object.__setattr__(self, "clip", _member(Clip, self.clip))
        object.__setattr__(self, "only", None if self.only is None else _member(Only, self.only))
        object.__setattr__(self, "clip_at", _clip_at(self.clip_at, self.clip))
        if self.scheme is Scheme.STEP:
            object.__setattr__(self, "granularity", Granularity.TENSOR)
        object.__setattr__(self, "group_size", _group_size(self.group_size, self.granularity, self._codebook))
        object.__setattr__(self, "step", _step(self.step, self.scheme))
        object.__setattr__(self, "skip_ends", bool(self.skip_ends))
        if self.clip is not Clip.FULL and not self.scheme.clips:
            why = (
                "the step of step weights is given" if self.step else f"{self.scheme} weights find values of their own"
            )
            raise ValueError(f"{why}: there is no range to clip")

    @property
    def _codebook(self) -> int:
        """How many values a group stores beside its codes, instead of a scale."""
        return 2**self.bits if self.scheme is Scheme.K_MEANS else 0


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
    """What scores least becomes zero: all below a threshold, the least up to a sparsity, or all but n of each m.

    Exactly one of `threshold`, `sparsity` (0..1, of the weights or of the filters) and an n:m structure is given.
    `unit` belongs to the threshold, `scope` to the sparsity, `pattern` (n, m) to n:m and `seed` to random scores. Of a
    single weight l2 is l1, and becomes it. Defaults: weights of small magnitude.
    """

    threshold: float | None = None
    sparsity: float | None = None
    scope: Scope = Scope.GLOBAL
    unit: Unit = Unit.ABSOLUTE
    criterion: Criterion = Criterion.L1
    structure: Structure = Structure.WEIGHT
    pattern: tuple[int, int] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, enum in (("scope", Scope), ("unit", Unit), ("criterion", Criterion), ("structure", Structure)):
            object.__setattr__(self, name, _member(enum, getattr(self, name)))
        if self.structure is Structure.N_M:
            object.__setattr__(self, "pattern", _pattern(self.pattern or (2, 4)))
        if self.criterion is Criterion.L2 and self.structure is not Structure.FILTER:
            object.__setattr__(self, "criterion", Criterion.L1)
        if self.threshold is not None:
            object.__setattr__(self, "threshold", float(self.threshold))
        if self.sparsity is not None:
            object.__setattr__(self, "sparsity", _fraction(self.sparsity))
        self._check_target()
        self._check_criterion()

    @property
    def takes_nothing(self) -> bool:
        """Whether no network loses a weight. A threshold of 0 takes what is negative where signs count."""
        if self.threshold is not None:
            return self.threshold == 0 and self.criterion is not Criterion.SIGNED
        return self.sparsity == 0

    def _check_target(self) -> None:
        """Raises ValueError unless there is one target, with the settings that belong to it and no others."""
        if self.structure is Structure.N_M:
            if (self.threshold, self.sparsity) != (None, None):
                n, m = self.pattern or (2, 4)
                raise ValueError(f"{n}:{m} says itself how many weights go: it takes no threshold and no sparsity")
        elif (self.threshold is None) == (self.sparsity is None):
            raise ValueError(
                "pruning takes a threshold or a sparsity target, "
                + ("and got neither" if self.threshold is None else "not both: each one implies the other")
            )
        if self.threshold is not None and not (self.threshold >= 0 and math.isfinite(self.threshold)):
            raise ValueError(f"threshold must be a number of at least 0, got {self.threshold}")
        if self.threshold is not None and self.scope is Scope.LAYER:
            raise ValueError("a threshold is the same in every layer; scope goes with a sparsity target")
        if self.structure is Structure.N_M and self.scope is Scope.LAYER:
            raise ValueError("n:m holds in each layer as it is; scope goes with a sparsity target")
        if self.threshold is None and self.unit is not Unit.ABSOLUTE:
            raise ValueError(f"a unit goes with a threshold: {self.unit} has nothing to count here")
        if self.structure is not Structure.N_M and self.pattern is not None:
            raise ValueError(f"a pattern goes with the structure n:m, not with {self.structure}")

    def _check_criterion(self) -> None:
        """Raises ValueError where the criterion does not go with the target or the structure."""
        criterion = self.criterion
        if self.threshold is not None and criterion in (Criterion.RANDOM, Criterion.TAYLOR):
            raise ValueError(f"{criterion} scores have no scale to set a threshold on; give a sparsity target")
        if criterion is Criterion.BN_SCALE and self.structure is not Structure.FILTER:
            raise ValueError("bn-scale scores whole filters, each by its batch norm's gamma; the structure is filter")
        if criterion is Criterion.BN_SCALE and self.unit is not Unit.ABSOLUTE:
            raise ValueError(f"{self.unit} are of weights, and bn-scale looks at none; its threshold is absolute")
        if criterion is Criterion.SIGNED and self.structure is not Structure.WEIGHT:
            raise ValueError("signed is a lesson about single weights; the structure is weight")
        if self.seed and criterion is not Criterion.RANDOM:
            raise ValueError(f"a seed goes with random scores; {criterion} scores have none")


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
    `reestimate_bn`: the statistics of batch norms are taken anew, on training images, when all else is done.
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
    reestimate_bn: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", _member(Order, self.order))
        if self.prune and self.prune.takes_nothing:
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


def structure_from(text: str) -> tuple[Structure, tuple[int, int] | None]:
    """ "filter" -> (Structure.FILTER, None), "2:4" -> (Structure.N_M, (2, 4)): for `PruneSpec`, with its pattern."""
    n, _, m = text.partition(":")
    if n.isdecimal() and m.isdecimal():
        return Structure.N_M, _pattern((int(n), int(m)))
    return _member(Structure, text), None


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
        most = ", the most that its codes may take" if scheme is Scheme.STEP else ""
        raise ValueError(f"bits{whose} must be {widths}{most}, got {bits}{hint}")
    return int(bits)


def _pattern(pattern: Iterable[float]) -> tuple[int, int]:
    n, m = pattern
    if not (n == int(n) and m == int(m) and 1 <= n < m):
        raise ValueError(f"n:m keeps n of each m weights, whole numbers with 1 <= n < m; got {n}:{m}")
    return int(n), int(m)


def _clip_at(at: float | None, clip: Clip) -> float | None:
    if at is None:
        return None
    if clip.at is None:
        raise ValueError(f"the range {clip} takes no number to clip at; {', '.join(CLIPS_AT)} do")
    if clip is Clip.PERCENTILE and not 50 < at <= 100:
        raise ValueError(f"the percentile to clip at must be above 50 and at most 100, got {at}")
    if not (at > 0 and math.isfinite(at)):
        raise ValueError(f"the {clip} to clip at must be a number above 0, got {at}")
    return None if at == clip.at else float(at)


def _group_size(size: int | None, granularity: Granularity, codebook: int) -> int | None:
    if granularity is not Granularity.GROUP:
        if size is not None:
            raise ValueError(f"a group size goes with the granularity group, not with {granularity}")
        return None
    if size is None:
        return max(GROUP_SIZE, codebook)
    if size not in GROUP_SIZES:
        raise ValueError(f"a group has {GROUP_SIZES[0]} to {GROUP_SIZES[-1]} weights, a whole number, got {size}")
    if size < codebook:
        raise ValueError(f"k-means would store {codebook} values for {size} weights: take fewer bits or larger groups")
    return int(size)


def _step(step: float | None, scheme: Scheme) -> float | None:
    if scheme is not Scheme.STEP:
        if step is not None:
            raise ValueError(f"a step goes with the scheme step; {scheme} weights find theirs")
        return None
    if step is None:
        raise ValueError("the scheme step is given its step, in units of the weights, and got none")
    if not SMALLEST_STEP <= step <= LARGEST_STEP:
        raise ValueError(f"the step must be a number in {SMALLEST_STEP:g}..{LARGEST_STEP:g}, got {step}")
    return float(step)


def _fraction(sparsity: float) -> float:
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    return float(sparsity)
