"""Pruning masks from scores. A mask is True where a weight is kept.

`structures` determines what is scored, `criteria` how. This module determines how much is pruned, and the units of a
threshold.
"""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from compression.pruning.criteria import CRITERIA, Rows
from compression.pruning.structures import STRUCTURES, keep_n_of_m, single_weights, whole_filters
from compression.spec import PruneSpec, Scope, Structure, Unit

Tensors = Mapping[str, Tensor]


class LayerMask(NamedTuple):
    """Which weights of one layer are kept.

    `mask`: bool, in the shape of the weight. `threshold`: the lowest score that is kept, infinite if nothing is kept.
    `filters`: bool (C_out,) if whole filters are pruned, else None. `pattern`: (n, m) if n of every m weights are kept,
    else None.
    """

    mask: Tensor
    threshold: float
    filters: Tensor | None = None
    pattern: tuple[int, int] | None = None


def prune(
    weights: Tensors, spec: PruneSpec, gradients: Tensors | None = None, gammas: Tensors | None = None
) -> dict[str, LayerMask]:
    """Returns the mask of each layer for its weight (C_out, ...). With the global scope all layers share one target.

    `gradients`: of the loss with respect to the weights, for the criterion taylor, or of outputs of layers, for obs.
    `gammas` (C_out,): scales of the batch norm after each layer, for bn-scale. The best filter of each layer is always
    kept: a layer without filters would make the output of the network constant.
    """
    scores = score_weights(weights, spec, gradients, gammas)
    if spec.structure is Structure.FILTER:
        best = {name: _best_row(row_scores) for name, row_scores in scores.items()}
        others = {name: row_scores.masked_fill(best[name], math.inf) for name, row_scores in scores.items()}
        keep = {name: rows | best[name] for name, rows in _rows_to_keep(others, weights, spec).items()}
    else:
        keep = _rows_to_keep(scores, weights, spec)
    return {name: _layer_mask(weight, keep[name], scores[name], spec) for name, weight in weights.items()}


def score_weights(
    weights: Tensors, spec: PruneSpec, gradients: Tensors | None = None, gammas: Tensors | None = None
) -> dict[str, Tensor]:
    """Returns the scores (rows,) of the weights or filters of each layer; the arguments are those of `prune`."""
    as_rows = whole_filters if spec.structure is Structure.FILTER else single_weights
    return {
        name: CRITERIA[spec.criterion](
            Rows(
                name,
                as_rows(weight),
                as_rows(gradients[name]) if gradients else None,
                gammas[name] if gammas else None,
                spec.seed,
            )
        )
        for name, weight in weights.items()
    }


def _rows_to_keep(scores: Tensors, weights: Tensors, spec: PruneSpec) -> dict[str, Tensor]:
    """Returns which rows of each layer are kept, bool (rows,), from their scores (rows,)."""
    if spec.pattern is not None:
        return {
            name: keep_n_of_m(scores[name].view(weight.shape), *spec.pattern).flatten()
            for name, weight in weights.items()
        }
    if spec.threshold is not None:
        unit = UNITS[spec.unit]
        return {name: keep_above(scores[name], spec.threshold * unit(weight)) for name, weight in weights.items()}
    assert spec.sparsity is not None
    if spec.scope is Scope.LAYER or not scores:
        return {name: keep_largest(row_scores, spec.sparsity) for name, row_scores in scores.items()}
    keep = keep_largest(torch.cat(list(scores.values())), spec.sparsity)
    parts = keep.split([len(row_scores) for row_scores in scores.values()])
    return dict(zip(scores, parts, strict=True))


def _best_row(scores: Tensor) -> Tensor:
    """scores (rows,) -> bool (rows,): the row with the highest score; of equal ones the last, which is pruned last."""
    best = torch.zeros_like(scores, dtype=torch.bool)
    best[(scores == scores.max()).nonzero()[-1]] = True
    return best


def _layer_mask(weight: Tensor, keep: Tensor, scores: Tensor, spec: PruneSpec) -> LayerMask:
    smallest = float(torch.where(keep, scores, math.inf).min())
    if spec.structure is Structure.FILTER:
        return LayerMask(keep.view(-1, *[1] * (weight.dim() - 1)).expand_as(weight), smallest, filters=keep)
    return LayerMask(keep.view(weight.shape), smallest, pattern=spec.pattern)


# ---- how much is pruned


def keep_above(scores: Tensor, threshold: float) -> Tensor:
    """scores (...) -> bool (...): a weight is pruned if its score is below the threshold."""
    return scores >= threshold


def keep_largest(scores: Tensor, sparsity: float) -> Tensor:
    """scores (...) -> bool (...): exactly floor(sparsity * n) weights with the lowest scores are pruned.

    Of equal scores the first are pruned.
    """
    flat = scores.flatten()
    count = int(sparsity * flat.numel())
    if count == 0:
        return torch.ones_like(scores, dtype=torch.bool)
    last = float(np.partition(flat.numpy(), count - 1)[count - 1])  # takes a tenth of the time of torch's kthvalue
    keep = flat > last
    missing = flat.numel() - int(keep.count_nonzero()) - count  # more scores are equal to `last` than must be pruned
    if missing:
        keep[np.flatnonzero(flat.numpy() == last)[-missing:]] = True
    return keep.view_as(scores)


# ---- units of a threshold


def absolute(weight: Tensor) -> float:
    r"""The threshold is compared with the weights directly and is the same in all layers.

    Formula: T = t
    Source: Han et al. 2015 (arXiv:1506.02626), section 3.
    Fails: if the weights of the layers differ in size: some layers lose all weights before others lose any.

    weight (C_out, ...) -> the threshold 1 in the unit of the scores.
    """
    return 1.0


def stds(weight: Tensor) -> float:
    r"""The threshold is a multiple of the standard deviation of the layer's weights, so one number suits all layers.

    Formula: T = t \sqrt{\tfrac{1}{n} \textstyle\sum_i (w_i - \bar w)^2}
    Source: Han et al. 2015 (arXiv:1506.02626), who choose thresholds in this way.
    Fails: to protect layers that need all of their weights, such as the first.

    weight (C_out, ...) -> the threshold 1 in the unit of the scores.
    """
    return float(weight.std(correction=0))


def means(weight: Tensor) -> float:
    r"""The threshold is a multiple of the mean magnitude of the layer's weights. A few very large weights change the
    mean magnitude less than the standard deviation.

    Formula: T = \tfrac{t}{n} \textstyle\sum_i |w_i|
    Source: Li and Liu 2016 (arXiv:1605.04711), section 2.2, whose ternary weights are zero below t = 0.7.
    Fails: to protect layers that need all of their weights, such as the first.

    weight (C_out, ...) -> the threshold 1 in the unit of the scores.
    """
    return float(weight.abs().mean())


UNITS: dict[Unit, Callable[[Tensor], float]] = {Unit.ABSOLUTE: absolute, Unit.STDS: stds, Unit.MEANS: means}

# All options of pruning, each with the function whose docstring explains it.
PRUNING_METHODS: dict[StrEnum, Callable[..., Any]] = dict([*CRITERIA.items(), *STRUCTURES.items(), *UNITS.items()])
