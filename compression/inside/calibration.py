"""Whether a network is as sure as it is right: reliability, and what temperature scaling mends."""

from dataclasses import dataclass, replace

from torch import Tensor

from compression.evaluation.subsets import HELD_BACK, SEARCH
from compression.evaluation.temperature import best_factor
from compression.inside.flips import Change, Comparison
from compression.spec import FLOAT_BITS, CompressionSpec, PruneSpec, QuantSpec, Structure, Unit

BINS = 15

MARGIN_BINS = 30

CURVE_BITS = (8, 6, 5, 4, 3, 2)

CURVE_SPARSITIES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Bin:
    """The images whose highest probability is above `low` and at most `high`: how sure, and how often right (0..1)."""

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """How sure a network is of `images`, and how often it is right. Bins without images are left out."""

    bins: tuple[Bin, ...]
    images: int
    confidence: float
    accuracy: float

    @property
    def expected_error(self) -> float:
        """The expected calibration error (0..1): |confidence - accuracy|, weighted by the images of the bins."""
        return sum(each.images * abs(each.confidence - each.accuracy) for each in self.bins) / self.images


@dataclass(frozen=True)
class Calibration:
    """The reliability of a network on the held-out half of images, as it is (`plain`) and after temperature scaling.

    `temperature` divides the logits; it gives the lowest loss on the other half. Above 1, the network was too sure.
    """

    plain: Reliability
    scaled: Reliability
    temperature: float


def measure_reliability(logits: Tensor, labels: Tensor, bins: int = BINS) -> Reliability:
    """logits (N, classes), labels (N,) -> how sure and how right, in `bins` equal intervals of the highest probability.

    Source: Guo et al. 2017 (arXiv:1706.04599), equation 3.
    """
    best = logits.double().softmax(1).max(1)
    right = (best.indices == labels).double()
    places = (best.values * bins).ceil().long().clamp(1, bins) - 1
    counts = places.bincount(minlength=bins)
    confidence = places.bincount(best.values, minlength=bins)
    accuracy = places.bincount(right, minlength=bins)
    return Reliability(
        bins=tuple(
            Bin(i / bins, (i + 1) / bins, count, float(confidence[i]) / count, float(accuracy[i]) / count)
            for i, count in enumerate(counts.tolist())
            if count
        ),
        images=len(labels),
        confidence=float(best.values.mean()),
        accuracy=float(right.mean()),
    )


def calibrate(logits: Tensor, labels: Tensor) -> Calibration:
    """Returns the calibration of a network from its logits (N, classes) and the labels (N,) of all test images.

    The temperature is chosen on every second image, and both reliabilities are those of the other images. Training
    images would give a temperature that is too low, because the network has seen them.
    """
    factor = best_factor(logits[SEARCH].double(), labels[SEARCH])
    held = logits[HELD_BACK].double()
    return Calibration(
        measure_reliability(held, labels[HELD_BACK]),
        measure_reliability(factor * held, labels[HELD_BACK]),
        1 / factor,
    )


@dataclass(frozen=True)
class CurveSpec:
    """A point of a curve: the spec whose calibration is measured, and what it is drawn against.

    `bits` per weight (32 is float) along the curve of bits, or else the `sparsity` (0..1).
    """

    spec: CompressionSpec
    bits: int | None = None
    sparsity: float | None = None


@dataclass(frozen=True)
class CurvePoint:
    """The reliability of one network on test images, as it is and after temperature scaling on training images.

    `scaled` and `temperature` are None without training images.
    """

    at: CurveSpec
    plain: Reliability
    scaled: Reliability | None
    temperature: float | None


def curve_specs(spec: CompressionSpec) -> tuple[CurveSpec, ...]:
    """Returns the points of both curves: `spec` with other bits per weight, and with other sparsities.

    Steps that give accuracy back from images and settings of single layers are left out. Schemes without a choice of
    bits have only float and their own.
    """
    plain = replace(spec.without_recovery, layers=())
    quant = plain.weights or QuantSpec(8)
    prune = plain.prune if plain.prune and plain.prune.structure is not Structure.N_M else PruneSpec(sparsity=0.0)
    bits = dict.fromkeys(quant.scheme.nearest_bits(each) for each in CURVE_BITS) if quant.step is None else {}
    by_bits = [CurveSpec(replace(plain, weights=None, merge=None), bits=FLOAT_BITS)] + [
        CurveSpec(replace(plain, weights=replace(quant, bits=each)), bits=each) for each in bits
    ]
    by_sparsity = [
        CurveSpec(replace(plain, prune=_with_sparsity(prune, each)), sparsity=each) for each in CURVE_SPARSITIES
    ]
    return (*by_bits, *by_sparsity)


def _with_sparsity(prune: PruneSpec, sparsity: float) -> PruneSpec | None:
    """Returns `prune` with a sparsity in place of its sparsity or threshold; None for no pruning."""
    return replace(prune, sparsity=sparsity, threshold=None, unit=Unit.ABSOLUTE) if sparsity else None


def curve_point(
    at: CurveSpec, logits: Tensor, labels: Tensor, training: tuple[Tensor, Tensor] | None = None
) -> CurvePoint:
    """logits (N, classes) and labels (N,) of test images -> a point of a curve. training: those of training images.

    The network has seen the training images, and is surer of them, so that their temperature is rather too low.
    """
    logits = logits.double()
    plain = measure_reliability(logits, labels)
    if training is None:
        return CurvePoint(at, plain, None, None)
    factor = best_factor(training[0].double(), training[1])
    return CurvePoint(at, plain, measure_reliability(factor * logits, labels), 1 / factor)


def margin_shares(comparison: Comparison, change: Change, bins: int = MARGIN_BINS) -> tuple[list[float], list[float]]:
    """Returns the middles of `bins` intervals of the float network's margin, and the share (0..1) of images in each.

    The shares are those among the images of `change`; all zero if there are none. Raises ValueError without margins.
    """
    if comparison.margins is None:
        raise ValueError("the margins of the float network were not kept, so nothing can be said about them")
    margins = comparison.margins.double()
    width = float(margins.max()) / bins or 1.0
    places = (margins[comparison.changes[change]] / width).long().clamp(0, bins - 1)
    counts = places.bincount(minlength=bins)
    return [(i + 0.5) * width for i in range(bins)], (counts / counts.sum().clamp(min=1)).tolist()
