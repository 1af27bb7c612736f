"""spec/quantize.py"""

import math
from dataclasses import dataclass
from enum import StrEnum

from compression.spec.checks import MAX_BITS, MIN_BITS, member

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
        return SCHEME_BITS.get(self, range(MIN_BITS, MAX_BITS + 1))

    def nearest_bits(self, bits: int) -> int:
        """`bits`, or the nearest width that it can have."""
        return min(max(bits, self.bits[0]), self.bits[-1])

    @property
    def clippable(self) -> bool:
        """Whether it covers a range, that could be clipped; the others find values of their own."""
        return self in (Scheme.SYMMETRIC, Scheme.AFFINE, Scheme.MIN_MAX)


SCHEME_BITS = {
    Scheme.K_MEANS: range(1, 9),  # beyond, its codebooks outgrow what the codes save
    Scheme.TERNARY: range(2, 3),
    Scheme.BINARY: range(1, 2),
    Scheme.STEP: range(MAX_BITS, MAX_BITS + 1),  # at most: how many there are follows from the step
}

AUTOMATIC_SCHEMES = tuple(scheme for scheme in Scheme if scheme is not Scheme.STEP)  # steps or values, from the weights


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
    def default_at(self) -> float | None:
        """Where it cuts unless it is told: a percentile of the magnitudes, standard deviations, mean magnitudes."""
        return DEFAULT_CLIP_AT.get(self)


DEFAULT_CLIP_AT = {
    Clip.PERCENTILE: 99.9,
    Clip.STDS: 3.0,
    Clip.MEANS: 5.0,
}  # 5 means are a Gaussian's 4 standard deviations


class Calibration(StrEnum):
    """Which range of a layer's inputs the integers cover; see `calibration`."""

    MIN_MAX = "min-max"
    MOVING_AVERAGE = "moving-average"
    PERCENTILE = "percentile"
    LEAST_ERROR = "least-error"
    KL = "kl"


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
        object.__setattr__(self, "scheme", member(Scheme, self.scheme))
        object.__setattr__(self, "bits", whole_bits(self.bits, self.scheme))
        object.__setattr__(self, "granularity", member(Granularity, self.granularity))
        object.__setattr__(self, "clip", member(Clip, self.clip))
        object.__setattr__(self, "only", None if self.only is None else member(Only, self.only))
        object.__setattr__(self, "clip_at", _clip_at(self.clip_at, self.clip))
        if self.scheme is Scheme.STEP:
            object.__setattr__(self, "granularity", Granularity.TENSOR)
        object.__setattr__(self, "group_size", _group_size(self.group_size, self.granularity, self._codebook))
        object.__setattr__(self, "step", _step(self.step, self.scheme))
        object.__setattr__(self, "skip_ends", bool(self.skip_ends))
        if self.clip is not Clip.FULL and not self.scheme.clippable:
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
        object.__setattr__(self, "calibration", member(Calibration, self.calibration))
        if self.bits not in range(MIN_BITS, MAX_BITS + 1):
            raise ValueError(f"activation bits must be a whole number in {MIN_BITS}..{MAX_BITS}, got {self.bits}")
        object.__setattr__(self, "bits", int(self.bits))


def whole_bits(bits: float, scheme: Scheme = Scheme.SYMMETRIC) -> int:
    able = scheme.bits
    if bits not in able:
        widths = f"a whole number in {able[0]}..{able[-1]}" if len(able) > 1 else str(able[0])
        whose = f" of {scheme} weights" if scheme in SCHEME_BITS else ""
        hint = ": one bit leaves a symmetric quantizer the code 0 alone" if bits == 1 else ""
        most = ", the most that its codes may take" if scheme is Scheme.STEP else ""
        raise ValueError(f"bits{whose} must be {widths}{most}, got {bits}{hint}")
    return int(bits)


def _clip_at(at: float | None, clip: Clip) -> float | None:
    if at is None:
        return None
    if clip.default_at is None:
        raise ValueError(f"the range {clip} takes no number to clip at; {', '.join(DEFAULT_CLIP_AT)} do")
    if clip is Clip.PERCENTILE and not 50 < at <= 100:
        raise ValueError(f"the percentile to clip at must be above 50 and at most 100, got {at}")
    if not (at > 0 and math.isfinite(at)):
        raise ValueError(f"the {clip} to clip at must be a number above 0, got {at}")
    return None if at == clip.default_at else float(at)


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
