"""The share of the scores below each threshold: the curve that relates threshold and sparsity."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

POINTS = 161

SHARE_BELOW_START = 0.002  # of positive scores: a logarithmic curve cannot start at the smallest ones


@dataclass(frozen=True)
class Curve:
    """A share `shares[i]` (0..1) of the scores is below `thresholds[i]`.

    If `logarithmic`, thresholds differ by equal factors. Otherwise they differ by equal steps, because some scores are
    negative.
    """

    thresholds: tuple[float, ...]
    shares: tuple[float, ...]
    logarithmic: bool


def build_curve(scores: Sequence[Tensor], points: int = POINTS) -> Curve:
    """Returns the curve of all `scores`, of any shapes, at `points` thresholds. The last one is above all scores."""
    flat = torch.cat([part.detach().flatten() for part in scores])
    lowest, highest = (float(end) for end in flat.aminmax())
    if lowest >= 0:
        positive = flat[flat > 0]
        start = float(positive.kthvalue(1 + int(SHARE_BELOW_START * len(positive))).values) if len(positive) else 1.0
        reach = highest or start
        thresholds = torch.logspace(math.log10(min(start, reach / 10)), math.log10(reach * 1.1), points)
    else:
        margin = (highest - lowest or abs(lowest)) / points
        thresholds = torch.linspace(lowest, highest + margin, points)
    bins = torch.bucketize(flat, thresholds, right=True).bincount(minlength=points + 1)
    shares = bins.cumsum(0)[:points].double() / len(flat)
    return Curve(tuple(thresholds.tolist()), tuple(shares.tolist()), lowest >= 0)
