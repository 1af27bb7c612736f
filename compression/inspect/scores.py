"""The importance scores in the unit of the threshold, and the cut: the score below which weights are pruned."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from compression.core.evidence import Evidence
from compression.core.pruning_plan import score_layers
from compression.networks.weights import weighted_layers
from compression.pruning.masks import UNITS
from compression.spec import CompressionSpec, Criterion, PruneSpec, Scope, Structure

Scores = Mapping[str, Tensor]


@dataclass(frozen=True)
class Cut:
    """The cut of a pruning spec: scores below `low` are pruned in all layers, scores below `high` in some layers.

    `share` (0..1) of the scores are below `low`.
    """

    low: float
    high: float
    share: float


def scoring_spec(prune: PruneSpec) -> PruneSpec:
    """Returns a spec with the same scores as `prune`. It is equal for specs that differ only in their target."""
    if prune.structure is Structure.N_M:
        return PruneSpec(sparsity=0.5, criterion=prune.criterion, seed=prune.seed)
    if prune.threshold is not None:
        return replace(prune, threshold=1.0)
    return replace(prune, sparsity=0.5, scope=Scope.GLOBAL)


def filter_scoring_spec(prune: PruneSpec) -> PruneSpec:
    """Returns a spec that scores filters by the criterion of `prune`, or by mean magnitude if it scores no filters."""
    criterion = Criterion.L1 if prune.criterion is Criterion.SIGNED else prune.criterion
    return PruneSpec(sparsity=0.5, criterion=criterion, structure=Structure.FILTER, seed=prune.seed)


def score_in_units(module: nn.Module, spec: CompressionSpec, evidence: Evidence) -> dict[str, Tensor]:
    """Returns the scores (rows,) of each layer that `spec` prunes, in the unit of its threshold."""
    assert spec.prune is not None
    weights = weighted_layers(module)
    unit = UNITS[spec.prune.unit]
    scores = score_layers(module, weights, spec, evidence)
    return {name: of_rows / unit(weights[name].detach()) for name, of_rows in scores.items()}


def find_cut(prune: PruneSpec, scores: Scores, layer: str | None) -> Cut | None:
    """Returns the cut of `prune` on `scores`, all or those of `layer`; None if it prunes nothing or has no cut."""
    if prune.structure is Structure.N_M or prune.takes_nothing:
        return None
    of_each = [of_rows for name, of_rows in scores.items() if layer in (None, name)]
    if prune.scope is Scope.GLOBAL or not of_each:
        of_each = [torch.cat(list(scores.values()))]
    if prune.threshold is not None:
        bounds = [prune.threshold]
    else:
        assert prune.sparsity is not None
        bounds = [_smallest_survivor(of_rows, prune.sparsity) for of_rows in of_each]
    below = sum(int((of_rows < min(bounds)).count_nonzero()) for of_rows in of_each)
    return Cut(min(bounds), max(bounds), below / sum(map(len, of_each)))


def find_equivalent_sparsity(prune: PruneSpec, scores: Scores) -> float:
    """Returns the sparsity target that prunes as many weights as `prune` does by `scores`, with any criterion."""
    if prune.sparsity is not None:
        return prune.sparsity
    cut = find_cut(prune, scores, None)
    rows = sum(map(len, scores.values()))
    return min(1.0, cut.share + 0.5 / rows) if cut else 0.0  # plus a half, because targets are rounded down


def _smallest_survivor(scores: Tensor, sparsity: float) -> float:
    place = min(int(sparsity * len(scores)), len(scores) - 1)
    return float(np.partition(scores.numpy(), place)[place])
