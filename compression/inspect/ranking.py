"""The filters of a network in the order of their scores, and the density of each after pruning."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_BARS = 128


@dataclass(frozen=True)
class Ranking:
    """Bars of `filters_per_bar` filters (the last may have fewer), the highest scores first.

    `scores` are the mean scores per bar, `densities` (0..1) the shares of nonzero weights. `filters` is the number of
    all filters, `empty` the number of those without nonzero weights.
    """

    scores: tuple[float, ...]
    densities: tuple[float, ...]
    filters_per_bar: int
    filters: int
    empty: int


def rank_filters(scores: Sequence[Tensor], weights: Sequence[Tensor]) -> Ranking:
    """Ranks the filters of one or several layers, by scores (C_out,), with the weights (C_out, ...) after pruning."""
    score, best_first = torch.cat(list(scores)).sort(descending=True, stable=True)
    nonzero = torch.cat([(weight != 0).flatten(1).sum(1) for weight in weights])[best_first]
    size = torch.cat([torch.full((len(weight),), weight[0].numel()) for weight in weights])[best_first]
    per_bar = -(-len(score) // MOST_BARS)
    bars = list(zip(score.split(per_bar), nonzero.split(per_bar), size.split(per_bar), strict=True))
    return Ranking(
        scores=tuple(float(part.mean()) for part, _, _ in bars),
        densities=tuple(float(part.sum() / whole.sum()) for _, part, whole in bars),
        filters_per_bar=per_bar,
        filters=len(score),
        empty=int((nonzero == 0).sum()),
    )
