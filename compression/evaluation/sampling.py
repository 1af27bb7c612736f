"""Accuracy on all images while the predictions still come in: order, estimate, interval; and McNemar's test at the end.

Compression changes the decision mostly where the float network's margin is small, so such images are more likely to
be visited early, and each counts for less. The float network also divides the images into those it gets right and
those it gets wrong. How many are in either group is known; only the share of it that the compressed network gets
right is estimated, in each group from its images that were visited.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from compression.evaluation.evaluation import Evaluation
from compression.evaluation.statistics import wilson_interval

# How many times likelier than the image of the largest margin that of the smallest is visited early. More would help
# where little changes and harm where a network is broken; from 5 to 10 the differences are small.
PREFERENCE = 7


@dataclass(frozen=True, eq=False)
class Order:
    """In which order images (N of them) are visited.

    `rows` (N,) int64: the images, first to last. `sizes` (N,) float64, in image order, in any unit: among the first n
    is an image with probability min(1, c size), c such that these sum to n.
    """

    rows: Tensor
    sizes: Tensor


def plain_order(images: int) -> Order:
    """The canonical order with equal sizes. It goes by the SHA-256 of the images, so each prefix is a fair sample."""
    return Order(torch.arange(images), torch.ones(images, dtype=torch.float64))


def visiting_order(before: Evaluation, seed: int = 0) -> Order:
    """The order drawn once for the float network that `before` evaluates, images of small margin rather first.

    Sequential Poisson sampling (Ohlsson 1998, Journal of Official Statistics 14:149-162): the images go by u / size,
    u uniform in 0..1. size = 1 / (1 + (PREFERENCE - 1) q), where q is the share of images with a smaller margin,
    equal ones counted half, so that the scale of a network's logits does not matter.

    The same for the same margins anywhere: u comes from the bits of PCG64, which NumPy promises never to change, and
    margins are rounded to float16 first, so that those of a store that keeps float16 give the same order.
    Raises ValueError where the margins were not kept.
    """
    if before.margins is None:
        raise ValueError("the visiting order needs the float network's margins, and this evaluation did not keep them")
    margins = before.margins.half().float()
    _, place, count = margins.unique(return_inverse=True, return_counts=True)
    smaller = ((count.cumsum(0) - count / 2) / before.total).double()[place]
    sizes = 1 / (1 + (PREFERENCE - 1) * smaller)
    bits = np.random.PCG64(seed).random_raw(before.total) >> np.uint64(11)
    uniform = torch.from_numpy(bits.astype(np.float64) * 2.0**-53)
    return Order((uniform / sizes).argsort(stable=True), sizes)


@dataclass(frozen=True)
class Estimate:
    """The accuracy on `total` images (0..1) with its 95 % interval, after `images` of them."""

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


def estimate(order: Order, seen: Evaluation, before: Evaluation | None = None) -> Estimate:
    """What `seen`, the evaluation of the first images of `order`, says of all of them.

    `before` is the float network's evaluation of all images in canonical order; without it all images are one
    group, and with the plain order the interval is Wilson's, for n / (1 - n / N) images. After the last image the
    estimate is exact. Raises ValueError where nothing was seen, or not the first images of `order`.
    """
    rows = _rows(order, seen, before)
    everything = torch.ones(len(order.rows), dtype=torch.bool)
    groups = [everything] if before is None else [before.right, ~before.right]
    return _estimate(order, rows, seen.right, groups)


def class_estimates(order: Order, seen: Evaluation, before: Evaluation) -> dict[str, Estimate]:
    """Class name -> the same for the images of this class alone; 0..1 where none of them was visited yet."""
    rows = _rows(order, seen, before)
    classes = {name: before.labels == label for label, name in enumerate(before.classes)}
    return {
        name: _estimate(order, rows, seen.right, [of_class & before.right, of_class & ~before.right])
        for name, of_class in classes.items()
        if of_class.any()
    }


def _rows(order: Order, seen: Evaluation, before: Evaluation | None) -> Tensor:
    """The images that were seen (n,). Raises ValueError where `seen` and `before` do not belong to `order`."""
    total = len(order.rows)
    if not 1 <= seen.total <= total:
        raise ValueError(f"an estimate needs 1 to {total:,} images, got {seen.total:,}")
    rows = order.rows[: seen.total]
    if before and before.total != total:
        raise ValueError(f"the order has {total:,} images, the float network's evaluation {before.total:,}")
    if before and not torch.equal(before.labels[rows], seen.labels):
        raise ValueError("these are not the first images of this order: their labels differ")
    return rows


def _estimate(order: Order, rows: Tensor, right: Tensor, groups: Sequence[Tensor]) -> Estimate:
    """rows (n,) the images seen, right (n,) bool, groups: (N,) bool each -> the estimate for the groups together.

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


def _right_in_group(sizes: Tensor, seen_sizes: Tensor, right: Tensor) -> tuple[float, float, float]:
    """sizes (K,); seen_sizes, right (k,) -> how many of the K are right, then the ends of the 95 % interval.

    Given that k of a group were visited, they are a sample of the group drawn in the same way. Each stands for
    w = 1 / inclusion probability images, and the share of right ones is the weighted mean (Hájek 1971). Its variance
    is sum w (w - 1) (right - share)^2 / (sum w)^2 (Rosén 1997, Journal of Statistical Planning and Inference
    62:159-191, without his factor k / (k - 1)). The interval is Wilson's, for as many images as would give this
    variance in a plain sample (Franco, Little, Louis and Slud 2019, Journal of Survey Statistics and Methodology
    7:334-364).

    In the variance one right and one wrong image of average weight count as well (in the way of Agresti and Coull
    1998, The American Statistician 52:119-126), so that it is not zero before the first changed image was seen.
    """
    total, seen = len(sizes), len(right)
    if seen == total:
        return (float(right.sum()),) * 3
    if seen == 0:
        return total / 2, 0.0, float(total)
    weights = 1 / (inclusion_scale(sizes, seen) * seen_sizes).clamp(max=1)
    average = float(weights.mean())
    share = float(weights[right].sum() / weights.sum())
    smooth = (seen * share + 1) / (seen + 2)
    spread = float((weights * (weights - 1) * (right.double() - smooth) ** 2).sum())
    spread += average * (average - 1) * ((1 - smooth) ** 2 + smooth**2)
    variance = spread / (average * (seen + 2)) ** 2
    plain_images = smooth * (1 - smooth) / variance * seen / (seen + 2)
    low, high = wilson_interval(share * plain_images, plain_images)
    return total * share, total * low, total * high


def inclusion_scale(sizes: Tensor, count: int) -> float:
    """sizes (K,) -> the c with sum min(1, c size) = count, for count < K.

    A size above 1 / c is certain to be in; the rest share what is left, until none is above (Särndal, Swensson and
    Wretman 1992, Model Assisted Survey Sampling, section 3.6).
    """
    scale = 0.0
    while True:
        certain = scale * sizes >= 1
        larger = float((count - certain.sum()) / sizes[~certain].sum())
        if larger <= scale:
            return scale
        scale = larger
