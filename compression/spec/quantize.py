"""How weights and activations are quantized, as frozen values: `QuantSpec`, `ActivationSpec` and their options."""

import math
from dataclasses import dataclass
from enum import StrEnum

from compression.spec.checks import MAX_BITS, MIN_BITS, member

SMALLEST_STEP, LARGEST_STEP = 1e-30, 1e30  # within float32, as are the reciprocals


class Scheme(StrEnum):
    """How integer codes and weights correspond; `quantization.quantizers` and `codebooks` have the formulas."""

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
        """The numbers of bits that the scheme supports."""
        return SCHEME_BITS.get(self, range(MIN_BITS, MAX_BITS + 1))

    def nearest_bits(self, bits: int) -> int:
        """Returns `bits`, or the nearest number of bits that the scheme supports."""
        return min(max(bits, self.bits[0]), self.bits[-1])

    @property
    def clippable(self) -> bool:
        """Whether the scheme covers a range that can be clipped. The others determine their values themselves."""
        return self in (Scheme.SYMMETRIC, Scheme.AFFINE, Scheme.MIN_MAX)


SCHEME_BITS = {
    Scheme.K_MEANS: range(1, 9),  # with more bits the codebooks take more than the codes save
    Scheme.TERNARY: range(2, 3),
    Scheme.BINARY: range(1, 2),
    Scheme.STEP: range(MAX_BITS, MAX_BITS + 1),  # an upper limit: the number of bits follows from the step
}

AUTOMATIC_SCHEMES = tuple(
    scheme for scheme in Scheme if scheme is not Scheme.STEP
)  # the steps or values follow from the weights


class Clip(StrEnum):
    """The clipping range of the weights; weights outside move to its ends. See `quantization.ranges`."""

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
        """The default position of the range, or None if it takes no number.

        A percentile of the magnitudes, a number of standard deviations, or a number of mean magnitudes.
        """
        return DEFAULT_CLIP_AT.get(self)


DEFAULT_CLIP_AT = {
    Clip.PERCENTILE: 99.9,
    Clip.STDS: 3.0,
    Clip.MEANS: 5.0,
}  # for a normal distribution 5 mean magnitudes are 4 standard deviations


class Calibration(StrEnum):
    """How the range of a layer's inputs that the integers cover is chosen; see `quantization.calibration`."""

    MIN_MAX = "min-max"
    MOVING_AVERAGE = "moving-average"
    PERCENTILE = "percentile"
    LEAST_ERROR = "least-error"
    KL = "kl"


class Granularity(StrEnum):
    """The quantization granularity: one scale per tensor, per output channel, or per group of consecutive weights."""

    TENSOR = "tensor"
    CHANNEL = "channel"
    GROUP = "group"


GROUP_SIZE = 64

GROUP_SIZES = range(16, 4097)  # with smaller groups the scales take as much space as the codes


class Only(StrEnum):
    """The kind of layers that is quantized, if not all layers are."""

    CONV = "conv"
    LINEAR = "linear"


@dataclass(frozen=True)
class QuantSpec:
    """How weights become `bits`-bit integers.

    `clip_at`: the position of the clipping range, for a `clip` that takes a number (a percentile, standard deviations,
    mean magnitudes); None means its default. `group_size`: the number of weights in a group, for the granularity group
    only; by default 64, or the number of codebook values if that is larger. `step`: the step between neighbouring
    values in units of the weights, for the scheme step only. It is the same for the whole network, and each layer takes
    as many bits as its range needs, up to `bits`. `only` restricts quantization to one kind of layer. `skip_ends`: the
    first and the last layer with weights stay in float. A LayerSpec overrides both. Raises ValueError for combinations
    that are not supported.
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
        object.__setattr__(self, "group_size", _group_size(self.group_size, self.granularity, self._codebook_values))
        object.__setattr__(self, "step", _step(self.step, self.scheme))
        object.__setattr__(self, "skip_ends", bool(self.skip_ends))
        if self.clip is not Clip.FULL and not self.scheme.clippable:
            reason = "takes its step from you" if self.step else "determines its values from the weights"
            raise ValueError(f"the scheme {self.scheme} {reason}, so there is no range to clip")

    @property
    def _codebook_values(self) -> int:
        """The number of values that each group stores instead of a scale."""
        return 2**self.bits if self.scheme is Scheme.K_MEANS else 0


@dataclass(frozen=True)
class ActivationSpec:
    """How the inputs of convolutions and linear layers become `bits`-bit integers.

    Each layer has one scale and one zero point (affine). Its range is fixed before inference, from the inputs that the
    layer has in the float network for training images.
    """

    bits: int
    calibration: Calibration = Calibration.MIN_MAX

    def __post_init__(self) -> None:
        object.__setattr__(self, "calibration", member(Calibration, self.calibration))
        if self.bits not in range(MIN_BITS, MAX_BITS + 1):
            raise ValueError(f"activation bits must be a whole number in {MIN_BITS}..{MAX_BITS}, got {self.bits}")
        object.__setattr__(self, "bits", int(self.bits))


def whole_bits(bits: float, scheme: Scheme = Scheme.SYMMETRIC) -> int:
    """Returns `bits` as an integer. Raises ValueError if `scheme` does not support it."""
    widths = scheme.bits
    if bits not in widths:
        options = f"a whole number in {widths[0]}..{widths[-1]}" if len(widths) > 1 else str(widths[0])
        scheme_words = f" of {scheme} weights" if scheme in SCHEME_BITS else ""
        limit = ", the upper limit for its codes" if scheme is Scheme.STEP else ""
        hint = ": with one bit a symmetric quantizer has only the code 0" if bits == 1 else ""
        raise ValueError(f"bits{scheme_words} must be {options}{limit}, got {bits}{hint}")
    return int(bits)


def _clip_at(at: float | None, clip: Clip) -> float | None:
    if at is None:
        return None
    if clip.default_at is None:
        raise ValueError(f"the clipping range {clip} takes no number; {', '.join(DEFAULT_CLIP_AT)} do")
    if clip is Clip.PERCENTILE and not 50 < at <= 100:
        raise ValueError(f"the clipping percentile must be above 50 and at most 100, got {at}")
    if not (at > 0 and math.isfinite(at)):
        raise ValueError(f"the number of {clip} of the clipping range must be finite and above 0, got {at}")
    return None if at == clip.default_at else float(at)


def _group_size(size: int | None, granularity: Granularity, codebook: int) -> int | None:
    if granularity is not Granularity.GROUP:
        if size is not None:
            raise ValueError(f"a group size needs the granularity group, got the granularity {granularity}")
        return None
    if size is None:
        return max(GROUP_SIZE, codebook)
    if size not in GROUP_SIZES:
        raise ValueError(f"the group size must be a whole number in {GROUP_SIZES[0]}..{GROUP_SIZES[-1]}, got {size}")
    if size < codebook:
        raise ValueError(f"k-means would store {codebook} values for {size} weights; use fewer bits or larger groups")
    return int(size)


def _step(step: float | None, scheme: Scheme) -> float | None:
    if scheme is not Scheme.STEP:
        if step is not None:
            raise ValueError(f"a step needs the scheme step; the scheme {scheme} determines its own steps")
        return None
    if step is None:
        raise ValueError("the scheme step needs a step, in units of the weights")
    if not SMALLEST_STEP <= step <= LARGEST_STEP:
        raise ValueError(f"the step must be a number in {SMALLEST_STEP:g}..{LARGEST_STEP:g}, got {step}")
    return float(step)
