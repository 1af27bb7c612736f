"""Estimates the accuracy on all images, with its interval, from the images that were evaluated so far.

Compression mostly changes the predictions for images on which the float network has a small margin. So these images
are more likely to be visited early, and each has a smaller weight in the estimate. The predictions of the float network
also divide the images into two groups, correct and wrong. The size of each group is known. Only the share of each group
that the compressed network classifies correctly is estimated, from the images of the group that were visited.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from compression.evaluation.evaluation import Evaluation
from compression.evaluation.statistics import wilson_interval

# The image with the smallest margin is this many times as likely to be visited early as the one with the largest. A
# larger number would help networks that change little and harm broken networks; between 5 and 10 it hardly matters.
PREFERENCE = 7


@dataclass(frozen=True, eq=False)
class VisitingOrder:
    """The order in which N images are visited.

    `rows` (N,) int64 are the images, first to last. `sizes` (N,) float64, in the order of the images and in any unit,
    say how likely each is visited early: it is among the first n with probability min(1, c size), where c is such that
    the probabilities sum to n.
    """

    rows: Tensor
    sizes: Tensor


def plain_order(images: int) -> VisitingOrder:
    """Returns the canonical order with equal sizes: sorted by SHA-256, so that any first images are a fair sample."""
    return VisitingOrder(torch.arange(images), torch.ones(images, dtype=torch.float64))


def visiting_order(before: Evaluation, seed: int = 0) -> VisitingOrder:
    """Draws the order for the float network that `before` evaluates; images with a small margin tend to come first.

    This is sequential Poisson sampling (Ohlsson 1998, Journal of Official Statistics 14:149-162): images are sorted by
    u / size with u uniform in 0..1. size = 1 / (1 + (PREFERENCE - 1) q), where q is the share of images with a smaller
    margin (equal margins count half), so the scale of a network's logits does not matter.

    Equal margins give the same order on every machine: u comes from the bits of PCG64, which NumPy promises never to
    change, and margins are rounded to float16 first, because the store keeps them as float16.
    Raises ValueError if the margins were not kept.
    """
    if before.margins is None:
        raise ValueError("the visiting order needs the float network's margins, and this evaluation did not keep them")
    margins = before.margins.half().float()
    _, place, count = margins.unique(return_inverse=True, return_counts=True)
    smaller = ((count.cumsum(0) - count / 2) / before.total).double()[place]
    sizes = 1 / (1 + (PREFERENCE - 1) * smaller)
    bits = np.random.PCG64(seed).random_raw(before.total) >> np.uint64(11)
    uniform = torch.from_numpy(bits.astype(np.float64) * 2.0**-53)
    return VisitingOrder((uniform / sizes).argsort(stable=True), sizes)


@dataclass(frozen=True)
class Estimate:
    """An estimate of the accuracy on `total` images (0..1) with its 95 % interval, from `images` of them."""

    accuracy: float
    low: float
    high: float
    images: int
    total: int

    @property
    def exact(self) -> bool:
        return self.images == self.total

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def estimate(order: VisitingOrder, sample: Evaluation, before: Evaluation | None = None) -> Estimate:
    """Estimates the accuracy on all images from `sample`, the evaluation of the first images of `order`.

    `before` is the float network's evaluation of all images in canonical order. Without it all images are one group;
    with the plain order the interval then is Wilson's for n / (1 - n / N) images. After the last image the estimate is
    exact. Raises ValueError if `sample` is empty or is not of the first images of `order`.
    """
    rows = _rows(order, sample, before)
    everything = torch.ones(len(order.rows), dtype=torch.bool)
    groups = [everything] if before is None else [before.right, ~before.right]
    return _estimate(order, rows, sample.right, groups)


def class_estimates(order: VisitingOrder, sample: Evaluation, before: Evaluation) -> dict[str, Estimate]:
    """Returns the estimate for the images of each class, by its name; 0..1 if none of them was visited yet."""
    rows = _rows(order, sample, before)
    classes = {name: before.labels == label for label, name in enumerate(before.classes)}
    return {
        name: _estimate(order, rows, sample.right, [of_class & before.right, of_class & ~before.right])
        for name, of_class in classes.items()
        if of_class.any()
    }


def _rows(order: VisitingOrder, sample: Evaluation, before: Evaluation | None) -> Tensor:
    """Returns the rows (n,) of the sample. Raises ValueError if `sample` or `before` does not belong to `order`."""
    total = len(order.rows)
    if not 1 <= sample.total <= total:
        raise ValueError(f"an estimate needs 1 to {total:,} images, got {sample.total:,}")
    rows = order.rows[: sample.total]
    if before and before.total != total:
        raise ValueError(f"the order has {total:,} images, the float network's evaluation {before.total:,}")
    if before and not torch.equal(before.labels[rows], sample.labels):
        raise ValueError("these are not the first images of this order: their labels differ")
    return rows


def _estimate(order: VisitingOrder, rows: Tensor, right: Tensor, groups: Sequence[Tensor]) -> Estimate:
    """rows (n,) of the sample, right (n,) bool, groups (N,) bool each -> the estimate for the groups together.

    The groups are independent samples, so the squared distances from the estimate to either end add up (Zou and
    Donner 2008, Statistics in Medicine 27:1693-1702).
    """
    inside = [group[rows] for group in groups]
    images, total = (sum(int(mask.sum()) for mask in masks) for masks in (inside, groups))
    if images == 0:
        return Estimate(0.5, 0.0, 1.0, images, total)
    counts = [
        _right_in_group(order.sizes[group], order.sizes[rows[mask]], right[mask])
        for group, mask in zip(groups, inside, strict=True)
    ]
    middle = sum(count for count, _, _ in counts)
    low = middle - math.hypot(*(count - low for count, low, _ in counts))
    high = middle + math.hypot(*(high - count for count, _, high in counts))
    return Estimate(middle / total, max(0.0, low / total), min(1.0, high / total), images, total)


def _right_in_group(sizes: Tensor, visited_sizes: Tensor, right: Tensor) -> tuple[float, float, float]:
    """sizes (K,); visited_sizes, right (k,) -> how many of the K are correct, and the ends of its 95 % interval.

    Given that k images of a group were visited, they are a sample of the group drawn in the same way. Each stands for
    w = 1 / inclusion probability images, and the share of correct ones is the weighted mean (Hájek 1971). Its variance
    is sum w (w - 1) (right - share)^2 / (sum w)^2 (Rosén 1997, Journal of Statistical Planning and Inference
    62:159-191, without his factor k / (k - 1)). The interval is Wilson's, for as many images as would give this
    variance in a plain sample (Franco, Little, Louis and Slud 2019, Journal of Survey Statistics and Methodology
    7:334-364).

    The variance also counts one correct and one wrong image of average weight (after Agresti and Coull 1998, The
    American Statistician 52:119-126), so that it is not zero before the first changed image is visited.
    """
    total, visited = len(sizes), len(right)
    if visited == total:
        return (float(right.sum()),) * 3
    if visited == 0:
        return total / 2, 0.0, float(total)
    weights = 1 / (inclusion_scale(sizes, visited) * visited_sizes).clamp(max=1)
    average = float(weights.mean())
    share = float(weights[right].sum() / weights.sum())
    smooth = (visited * share + 1) / (visited + 2)
    spread = float((weights * (weights - 1) * (right.double() - smooth) ** 2).sum())
    spread += average * (average - 1) * ((1 - smooth) ** 2 + smooth**2)
    variance = spread / (average * (visited + 2)) ** 2
    plain_images = smooth * (1 - smooth) / variance * visited / (visited + 2)
    low, high = wilson_interval(share * plain_images, plain_images)
    return total * share, total * low, total * high


def inclusion_scale(sizes: Tensor, count: int) -> float:
    """sizes (K,) -> the c with sum min(1, c size) = count, for count < K.

    An image with a size above 1 / c is certainly included. The others share the remaining count; this is repeated until
    no other size is above 1 / c (Särndal, Swensson and Wretman 1992, Model Assisted Survey Sampling, section 3.6).
    """
    scale = 0.0
    while True:
        certain = scale * sizes >= 1
        larger = float((count - certain.sum()) / sizes[~certain].sum())
        if larger <= scale:
            return scale
        scale = larger
