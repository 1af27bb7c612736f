"""Which weights go: scores to masks. A mask is True where the weight is kept.

What is scored, and by what, `structures` and `criteria` say; here is how much goes, and what a threshold counts in.
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
    """What stays of one layer.

    `mask`: bool, of the weight's shape. `threshold`: the smallest score of what stays, infinite where nothing does.
    `filters`: bool (C_out,), where whole filters go or stay. `pattern`: (n, m), where n of each m weights stay.
    """

    mask: Tensor
    threshold: float
    filters: Tensor | None = None
    pattern: tuple[int, int] | None = None


def prune(
    weights: Tensors, spec: PruneSpec, gradients: Tensors | None = None, gammas: Tensors | None = None
) -> dict[str, LayerMask]:
    """The weight (C_out, ...) of each layer -> what stays of it. With a global target all layers compete.

    `gradients` of the loss by the weights, for taylor; `gammas` (C_out,) of the batch norm after each layer, for
    bn-scale. Of its filters each layer keeps the best, whatever the target: without any it would say nothing at all.
    """
    scores = score_weights(weights, spec, gradients, gammas)
    if spec.structure is Structure.FILTER:
        best = {name: _best(of_rows) for name, of_rows in scores.items()}
        others = {name: of_rows.masked_fill(best[name], math.inf) for name, of_rows in scores.items()}
        keep = {name: chosen | best[name] for name, chosen in _choose(others, weights, spec).items()}
    else:
        keep = _choose(scores, weights, spec)
    return {name: _kept(weight, keep[name], scores[name], spec) for name, weight in weights.items()}


def score_weights(
    weights: Tensors, spec: PruneSpec, gradients: Tensors | None = None, gammas: Tensors | None = None
) -> dict[str, Tensor]:
    """The weight (C_out, ...) of each layer -> the scores (rows,) of its weights or filters, as `prune` has it."""
    in_rows = whole_filters if spec.structure is Structure.FILTER else single_weights
    return {
        name: CRITERIA[spec.criterion](
            Rows(
                name,
                in_rows(weight),
                in_rows(gradients[name]) if gradients else None,
                gammas[name] if gammas else None,
                spec.seed,
            )
        )
        for name, weight in weights.items()
    }


def _choose(scores: Tensors, weights: Tensors, spec: PruneSpec) -> dict[str, Tensor]:
    """Scores (rows,) of each layer -> which rows are kept, bool (rows,)."""
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
        return {name: keep_largest(of_rows, spec.sparsity) for name, of_rows in scores.items()}
    together = keep_largest(torch.cat(list(scores.values())), spec.sparsity)
    parts = together.split([len(of_rows) for of_rows in scores.values()])
    return dict(zip(scores, parts, strict=True))


def _best(scores: Tensor) -> Tensor:
    """scores (rows,) -> bool (rows,): the row with the largest, of equal ones the last, as the first would go first."""
    best = torch.zeros_like(scores, dtype=torch.bool)
    best[(scores == scores.max()).nonzero()[-1]] = True
    return best


def _kept(weight: Tensor, keep: Tensor, scores: Tensor, spec: PruneSpec) -> LayerMask:
    smallest = float(torch.where(keep, scores, math.inf).min())
    if spec.structure is Structure.FILTER:
        return LayerMask(keep.view(-1, *[1] * (weight.dim() - 1)).expand_as(weight), smallest, filters=keep)
    return LayerMask(keep.view(weight.shape), smallest, pattern=spec.pattern)


# ---- how much goes


def keep_above(scores: Tensor, threshold: float) -> Tensor:
    """A weight is pruned when its score < threshold. scores (...) -> bool (...)."""
    return scores >= threshold


def keep_largest(scores: Tensor, sparsity: float) -> Tensor:
    """Prunes exactly floor(sparsity * n) weights, those with the smallest scores, ties by position.

    scores (...) -> bool (...).
    """
    flat = scores.flatten()
    count = int(sparsity * flat.numel())
    if count == 0:
        return torch.ones_like(scores, dtype=torch.bool)
    last = float(np.partition(flat.numpy(), count - 1)[count - 1])  # a tenth of the time of torch's kthvalue
    keep = flat > last
    spared = flat.numel() - int(keep.count_nonzero()) - count
    if spared:
        keep[np.flatnonzero(flat.numpy() == last)[-spared:]] = True
    return keep.view_as(scores)


# ---- units


def absolute(weight: Tensor) -> float:
    r"""The threshold is a number like the weights, and the same one in all layers.

    Formula: T = t
    Source: Han et al. 2015 (arXiv:1506.02626), section 3.
    Fails: where layers have weights of different sizes: some vanish before others lose anything.

    weight (C_out, ...) -> what a threshold of 1 is for it.
    """
    return 1.0


def stds(weight: Tensor) -> float:
    r"""The threshold counts standard deviations of the layer's weights, so one number suits all layers.

    Formula: T = t \sqrt{\tfrac{1}{n} \textstyle\sum_i (w_i - \bar w)^2}
    Source: Han et al. 2015 (arXiv:1506.02626), who choose thresholds so.
    Fails: to spare the layers that need all their weights, as first ones do.

    weight (C_out, ...) -> what a threshold of 1 is for it.
    """
    return float(weight.std(correction=0))


def means(weight: Tensor) -> float:
    r"""The threshold counts mean magnitudes of the layer's weights; a few huge weights move it less than the std.

    Formula: T = \tfrac{t}{n} \textstyle\sum_i |w_i|
    Source: Li and Liu 2016 (arXiv:1605.04711), section 2.2, whose ternary weights are zero below t = 0.7.
    Fails: to spare the layers that need all their weights, as first ones do.

    weight (C_out, ...) -> what a threshold of 1 is for it.
    """
    return float(weight.abs().mean())


UNITS: dict[Unit, Callable[[Tensor], float]] = {Unit.ABSOLUTE: absolute, Unit.STDS: stds, Unit.MEANS: means}

# Every way to prune, with the function whose docstring explains it.
PRUNING_METHODS: dict[StrEnum, Callable[..., Any]] = dict([*CRITERIA.items(), *STRUCTURES.items(), *UNITS.items()])
