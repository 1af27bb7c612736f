"""Histograms binned where the weights are, so that a page is sent hundreds of numbers and not millions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Histogram:
    """`edges` are bins + 1 values, `counts` the weights in each bin, the last bin closed on both sides."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


def histogram(weights: Sequence[Tensor], bins: int, low: float, high: float) -> Histogram:
    """All `weights`, of any shapes, in `bins` equal bins of low..high; what lies outside is not counted."""
    flat = torch.cat([weight.detach().flatten() for weight in weights])
    counts = torch.histc(flat, bins, low, high)
    edges = torch.linspace(low, high, bins + 1)
    return Histogram(tuple(edges.tolist()), tuple(int(count) for count in counts.tolist()))
