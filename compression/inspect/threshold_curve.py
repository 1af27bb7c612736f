"""How many weights lie below a threshold, for every threshold: the curve on which threshold and sparsity meet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

POINTS = 161

LEFT_OUT = 0.002  # of the scores lie below the first threshold of a logarithmic curve: it would have no end


@dataclass(frozen=True)
class Curve:
    """`shares[i]` (0..1) of the scores are below `thresholds[i]`, exactly. `logarithmic`: equal factors from one
    threshold to the next, not equal steps; some scores are negative where it is not.
    """

    thresholds: tuple[float, ...]
    shares: tuple[float, ...]
    logarithmic: bool


def cumulative_curve(scores: Sequence[Tensor], points: int = POINTS) -> Curve:
    """All `scores`, of any shapes, in `points` thresholds of which the last is above them all."""
    flat = torch.cat([part.detach().flatten() for part in scores])
    lowest, highest = (float(end) for end in flat.aminmax())
    if lowest >= 0:
        positive = flat[flat > 0]
        start = float(positive.kthvalue(1 + int(LEFT_OUT * len(positive))).values) if len(positive) else 1.0
        reach = highest or start
        thresholds = torch.logspace(math.log10(min(start, reach / 10)), math.log10(reach * 1.1), points)
    else:
        margin = (highest - lowest or abs(lowest)) / points
        thresholds = torch.linspace(lowest, highest + margin, points)
    bins = torch.bucketize(flat, thresholds, right=True).bincount(minlength=points + 1)
    shares = bins.cumsum(0)[:points].double() / len(flat)
    return Curve(tuple(thresholds.tolist()), tuple(shares.tolist()), lowest >= 0)
