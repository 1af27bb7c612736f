"""The specs that the widgets of the page Pruning select. Weights stay float32 there, to show pruning alone."""

from typing import Any

import streamlit as st

from compression.inspect import scores as pruning_view
from compression.spec import CompressionSpec, Criterion, PruneSpec, Scope, Structure, Unit
from pages.ui.compute import pruning
from pages.ui.settings import selection
from pages.ui.settings.selection import ANY_SPARSITY

AXES = {
    Criterion.L1: "|w|",
    Criterion.RANDOM: "random score",
    Criterion.TAYLOR: "|gradient · w|",
    Criterion.SIGNED: "w with its sign",
}
FILTER_AXES = {
    Criterion.L1: "mean |w| of the filter",
    Criterion.L2: "root mean square of the filter",
    Criterion.RANDOM: "random score",
    Criterion.TAYLOR: "|sum of gradient · w|",
    Criterion.BN_SCALE: "|gamma| of its batch norm",
}
UNITS = {
    Unit.ABSOLUTE: "",
    Unit.STDS: ", in standard deviations of the layer",
    Unit.MEANS: ", in mean |w| of the layer",
}


def prune_spec(target: float | None = None) -> PruneSpec:
    """Returns the pruning that the widgets select. `target`, where given, replaces the value of the slider."""
    return selection.prune_spec(target, units=True)


def spec(model: str, target: float | None = None) -> CompressionSpec:
    """Returns the spec of the pruned network. `target`, where given, replaces the value of the slider."""
    fold, reestimate = st.session_state["fold"], st.session_state["reestimate"]
    return CompressionSpec(model, prune_spec(target), fold_bn=fold, reestimate_bn=reestimate and not fold)


def scoring(model: str) -> CompressionSpec:
    """Returns the spec under which the scores of the selected criterion are cached."""
    return CompressionSpec(model, pruning_view.scoring_spec(prune_spec(ANY_SPARSITY)), fold_bn=st.session_state["fold"])


def scoring_filters(model: str) -> CompressionSpec:
    """Returns the spec under which the scores of whole filters are cached."""
    return CompressionSpec(
        model, pruning_view.filter_scoring_spec(prune_spec(ANY_SPARSITY)), fold_bn=st.session_state["fold"]
    )


def alternative(model: str) -> CompressionSpec:
    """Returns the spec of the other criterion, with the same sparsity of the whole network."""
    own, fold = prune_spec(), st.session_state["fold"]
    criterion, _, scope = st.session_state["rival"].partition(" in each ")
    rule: dict[str, Any] = {"criterion": criterion, "structure": own.structure, "pattern": own.pattern}
    if own.structure is Structure.N_M:
        return CompressionSpec(model, PruneSpec(**rule), fold_bn=fold)
    share = pruning_view.equivalent_sparsity(own, pruning.criterion_scores(scoring(model)))
    return CompressionSpec(model, PruneSpec(None, share, Scope.LAYER if scope else Scope.GLOBAL, **rule), fold_bn=fold)


def axis() -> str:
    """Returns what the selected criterion scores, as the title of an axis."""
    own = prune_spec(ANY_SPARSITY)
    return (FILTER_AXES if own.structure is Structure.FILTER else AXES)[own.criterion] + UNITS[own.unit]


def filter_axis() -> str:
    """Returns what the scores of whole filters are, as the title of an axis."""
    return FILTER_AXES[pruning_view.filter_scoring_spec(prune_spec(ANY_SPARSITY)).criterion]


def alternatives() -> list[str]:
    """Returns the other criteria and scopes that can prune as much."""
    own = prune_spec(ANY_SPARSITY)
    possible = [each for each in Criterion if selection.is_possible(each, own.structure, own.pattern)]
    ways = [(criterion, Scope.GLOBAL) for criterion in possible]
    if own.structure is not Structure.N_M:
        ways += [(criterion, Scope.LAYER) for criterion in possible]
    here = own.criterion, own.scope
    return [way if scope is Scope.GLOBAL else f"{way} in each layer" for way, scope in ways if (way, scope) != here]
