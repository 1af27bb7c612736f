"""Temperature scaling: the loss of a network without the effect of too much or too little confidence."""

import math

import torch.nn.functional as F
from torch import Tensor

NEWTON_STEPS = 20

MOST = 16.0  # the largest factor, and the inverse of the smallest


def scaled_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the cross-entropy (N,) of each image in nats, after temperature scaling.

    logits (N, classes) float64, labels (N,). Source: Guo et al. 2017 (arXiv:1706.04599).
    """
    return F.cross_entropy(best_factor(logits, labels) * logits, labels, reduction="none")


def best_factor(logits: Tensor, labels: Tensor) -> float:
    """logits (N, classes), labels (N,) -> the factor of the logits that gives the lowest mean cross-entropy.

    It is the inverse of the temperature, here within 1/16..16. The loss is convex in it, so Newton's method finds it.
    """
    factor = 1.0
    for _ in range(NEWTON_STEPS):
        shares = (factor * logits).softmax(1)
        mean = (shares * logits).sum(1)
        slope = float((mean - logits.gather(1, labels[:, None])[:, 0]).mean())
        curvature = float(((shares * logits.square()).sum(1) - mean.square()).mean())
        if not math.isfinite(slope) or curvature <= 0:
            return factor
        factor = min(max(factor - slope / curvature, factor / 2, 1 / MOST), factor * 2, MOST)
    return factor
