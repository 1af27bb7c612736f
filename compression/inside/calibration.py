"""Whether a network is as sure as it is right: reliability, and what temperature scaling mends."""

from dataclasses import dataclass

from torch import Tensor

from compression.evaluation.subsets import HELD_BACK, SEARCH
from compression.evaluation.temperature import best_factor
from compression.inside.flips import Change, Comparison

BINS = 15

MARGIN_BINS = 30


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
