"""The filters of a network in the order of their scores, and what is left of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_BARS = 128


@dataclass(frozen=True)
class Ranking:
    """Filters in bars, the best ones first, `each` of them in a bar (fewer in the last).

    `scores`: the mean score of the bar's filters. `left` (0..1): the share of their weights that is not zero.
    `filters`: all of them; `empty`: those that have no weight left.
    """

    scores: tuple[float, ...]
    densities: tuple[float, ...]
    filters_per_bar: int
    filters: int
    empty: int


def rank_filters(scores: Sequence[Tensor], weights: Sequence[Tensor]) -> Ranking:
    """Of one layer or of several: the scores (C_out,) of its filters, and the weights (C_out, ...) after pruning."""
    score, best_first = torch.cat(list(scores)).sort(descending=True, stable=True)
    left = torch.cat([(weight != 0).flatten(1).sum(1) for weight in weights])[best_first]
    size = torch.cat([torch.full((len(weight),), weight[0].numel()) for weight in weights])[best_first]
    each = -(-len(score) // MOST_BARS)
    bars = list(zip(score.split(each), left.split(each), size.split(each), strict=True))
    return Ranking(
        scores=tuple(float(some.mean()) for some, _, _ in bars),
        densities=tuple(float(some.sum() / all_.sum()) for _, some, all_ in bars),
        filters_per_bar=each,
        filters=len(score),
        empty=int((left == 0).sum()),
    )
