"""The specs that the page Pruning shows. Weights stay float32 there, to show pruning alone."""

from dataclasses import replace
from typing import Any

from compression.inspect import scores as pruning_view
from compression.spec import CompressionSpec, Criterion, PruneSpec, Scope, Structure, structure_from
from pages.ui.compute import pruning
from pages.ui.settings import selection, target
from pages.ui.state import specs
from pages.ui.state.value import SPARSITY, Settings

EXAMPLE = 0.5  # the share of weights that the page prunes where nothing is set


def settings(model: str) -> Settings:
    """Returns the settings as they take effect, with an example where no sparsity or threshold is set."""
    now = selection.settings(model)
    if now.by == SPARSITY:
        return now if now.sparsity is not None else replace(now, sparsity=EXAMPLE)
    if now.threshold is not None:
        return now
    return replace(now, threshold=target.snapped(model, target.score_above(model, EXAMPLE)))


def is_example(model: str) -> bool:
    """Returns whether the page shows an example, because no sparsity or threshold is set."""
    now = selection.settings(model)
    structure, _ = structure_from(now.structure)
    return structure is not Structure.N_M and (now.sparsity if now.by == SPARSITY else now.threshold) is None


def spec(model: str, amount: float | None = None) -> CompressionSpec:
    """Returns the spec of the pruned network. `amount`, where given, replaces the sparsity or the threshold."""
    now = settings(model)
    return CompressionSpec(
        model, specs.pruning_of(now, amount), fold_bn=now.fold, reestimate_bn=now.reestimate and not now.fold
    )


def alternative(model: str) -> CompressionSpec:
    """Returns the spec of the other criterion, with the same sparsity of the whole network."""
    now = settings(model)
    own = specs.pruning_of(now)
    criterion, _, scope = rival(model).partition(" in each ")
    rule: dict[str, Any] = {"criterion": criterion, "structure": own.structure, "pattern": own.pattern}
    if own.structure is Structure.N_M:
        return CompressionSpec(model, PruneSpec(**rule), fold_bn=now.fold)
    share = pruning_view.find_equivalent_sparsity(own, pruning.criterion_scores(target.scoring(model)))
    prune = PruneSpec(None, share, Scope.LAYER if scope else Scope.GLOBAL, **rule)
    return CompressionSpec(model, prune, fold_bn=now.fold)


def rival(model: str) -> str:
    """Returns the criterion that the selected one is compared with."""
    possible, chosen = alternatives(model), settings(model).rival
    return chosen if chosen in possible else possible[0]


def alternatives(model: str) -> list[str]:
    """Returns the other criteria and scopes that can prune as much."""
    own = specs.pruning_of(settings(model), specs.ANY_SPARSITY)
    possible = [each for each in Criterion if specs.is_possible(each, own.structure, own.pattern)]
    ways = [(criterion, Scope.GLOBAL) for criterion in possible]
    if own.structure is not Structure.N_M:
        ways += [(criterion, Scope.LAYER) for criterion in possible]
    here = own.criterion, own.scope
    return [way if scope is Scope.GLOBAL else f"{way} in each layer" for way, scope in ways if (way, scope) != here]
