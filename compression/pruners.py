"""Which weights go: scores to masks. A mask is True where the weight is kept.

The score is the magnitude |w| (Han et al. 2015, arXiv:1506.02626).
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from compression.spec import PruneSpec, Scope

Tensors = Mapping[str, Tensor]


def keep_above(scores: Tensor, threshold: float) -> Tensor:
    """A weight is pruned when |w| < threshold. scores (...) -> bool (...)."""
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
        keep[(flat == last).nonzero().flatten()[-spared:]] = True
    return keep.view_as(scores)


def masks(weights: Tensors, spec: PruneSpec) -> dict[str, Tensor]:
    """The weights of each layer -> its mask. With a global target all layers compete for one budget."""
    if spec.threshold is not None:
        return {name: keep_above(weight.abs(), spec.threshold) for name, weight in weights.items()}
    assert spec.sparsity is not None
    if spec.scope is Scope.LAYER or not weights:
        return {name: keep_largest(weight.abs(), spec.sparsity) for name, weight in weights.items()}
    flat = keep_largest(torch.cat([weight.flatten() for weight in weights.values()]).abs_(), spec.sparsity)
    parts = flat.split([weight.numel() for weight in weights.values()])
    return {name: part.view_as(weights[name]) for name, part in zip(weights, parts, strict=True)}
