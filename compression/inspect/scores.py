"""What pruning goes by, for the eye: scores in the unit of the threshold, and where on them the cut is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from compression.core import pruning_plan as pruning
from compression.core.evidence import Evidence
from compression.networks.weights import weighted_layers
from compression.pruning.masks import UNITS
from compression.spec import CompressionSpec, Criterion, PruneSpec, Scope, Structure

Scores = Mapping[str, Tensor]


@dataclass(frozen=True)
class Cut:
    """What scores below `low` goes, and in some layers what scores below `high`; `share` (0..1) scores below `low`."""

    low: float
    high: float
    share: float


def scoring_spec(prune: PruneSpec) -> PruneSpec:
    """The one spec among all with the same scores as `prune`, whatever its target."""
    if prune.structure is Structure.N_M:
        return PruneSpec(sparsity=0.5, criterion=prune.criterion, seed=prune.seed)
    if prune.threshold is not None:
        return replace(prune, threshold=1.0)
    return replace(prune, sparsity=0.5, scope=Scope.GLOBAL)


def filter_scoring_spec(prune: PruneSpec) -> PruneSpec:
    """The spec that scores whole filters by the criterion of `prune`; by their mean magnitude, where that has none."""
    criterion = Criterion.L1 if prune.criterion is Criterion.SIGNED else prune.criterion
    return PruneSpec(sparsity=0.5, criterion=criterion, structure=Structure.FILTER, seed=prune.seed)


def scores_in_units(module: nn.Module, spec: CompressionSpec, evidence: Evidence) -> dict[str, Tensor]:
    """The scores (rows,) of each layer that the pruning of `spec` touches, in the unit of its threshold."""
    assert spec.prune is not None
    weights = weighted_layers(module)
    unit = UNITS[spec.prune.unit]
    found = pruning.score_layers(module, weights, spec, evidence)
    return {name: of_rows / unit(weights[name].detach()) for name, of_rows in found.items()}


def find_cut(prune: PruneSpec, scores: Scores, layer: str | None) -> Cut | None:
    """What `prune` takes by `scores`, all or those of `layer`; None where nothing goes or no score rules."""
    if prune.structure is Structure.N_M or prune.takes_nothing:
        return None
    of_each = [of_rows for name, of_rows in scores.items() if layer in (None, name)]
    if prune.scope is Scope.GLOBAL or not of_each:
        of_each = [torch.cat(list(scores.values()))]
    if prune.threshold is not None:
        bounds = [prune.threshold]
    else:
        assert prune.sparsity is not None
        bounds = [_smallest_kept(of_rows, prune.sparsity) for of_rows in of_each]
    below = sum(int((of_rows < min(bounds)).count_nonzero()) for of_rows in of_each)
    return Cut(min(bounds), max(bounds), below / sum(map(len, of_each)))


def equivalent_sparsity(prune: PruneSpec, scores: Scores) -> float:
    """The sparsity target by which others take as many as `prune` does by `scores`."""
    if prune.sparsity is not None:
        return prune.sparsity
    found = find_cut(prune, scores, None)
    rows = sum(map(len, scores.values()))
    return min(1.0, found.share + 0.5 / rows) if found else 0.0  # the half, for targets are rounded down


def _smallest_kept(scores: Tensor, sparsity: float) -> float:
    place = min(int(sparsity * len(scores)), len(scores) - 1)
    return float(np.partition(scores.numpy(), place)[place])
