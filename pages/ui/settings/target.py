"""The pruning target: a sparsity or a threshold on the scores of a criterion."""

from collections.abc import Callable

from compression.errors import DataError
from compression.inspect.scores import filter_scoring_spec, scoring_spec
from compression.spec import CompressionSpec, Criterion, PruneSpec, Scope, Structure, Unit, structure_from
from pages.ui.compute import networks, pruning
from pages.ui.settings import widgets
from pages.ui.state import session, specs
from pages.ui.state.value import SPARSITY, THRESHOLD

AXES = {
    Criterion.L1: "|w|",
    Criterion.RANDOM: "random score",
    Criterion.TAYLOR: "|gradient · w|",
    Criterion.OBS: "share of output lost without w",
    Criterion.SIGNED: "w with its sign",
}
FILTER_AXES = {
    Criterion.L1: "mean |w| of the filter",
    Criterion.L2: "root mean square of the filter",
    Criterion.RANDOM: "random score",
    Criterion.TAYLOR: "|sum of gradient · w|",
    Criterion.OBS: "share of output lost without it",
    Criterion.BN_SCALE: "|gamma| of its batch norm",
}
UNITS = {
    Unit.ABSOLUTE: "",
    Unit.STDS: ", in standard deviations of the layer",
    Unit.MEANS: ", in mean |w| of the layer",
}
MOST_SCORES = 0.99  # the share of the scores that lie below the end of the slider

Action = Callable[[], None]


def pruning_rule() -> PruneSpec:
    """Returns the pruning that the settings select, with a target whose value does not matter."""
    return specs.pruning_of(session.now(), specs.ANY_SPARSITY)


def scoring(model: str) -> CompressionSpec:
    """Returns the spec under which the scores of the selected criterion are cached."""
    return CompressionSpec(model, scoring_spec(pruning_rule()), fold_bn=session.now().fold)


def scoring_filters(model: str) -> CompressionSpec:
    """Returns the spec under which the scores of whole filters are cached."""
    return CompressionSpec(model, filter_scoring_spec(pruning_rule()), fold_bn=session.now().fold)


def axis() -> str:
    """Returns what the selected criterion scores, as the title of an axis."""
    rule = pruning_rule()
    return (FILTER_AXES if rule.structure is Structure.FILTER else AXES)[rule.criterion] + UNITS[rule.unit]


def filter_axis() -> str:
    """Returns what the scores of whole filters are, as the title of an axis."""
    return FILTER_AXES[filter_scoring_spec(pruning_rule()).criterion]


def pick_way() -> str:
    """Draws the choice between a sparsity and a threshold, if both are possible; returns what is selected."""
    settings = specs.fitting(session.now())
    structure, _ = structure_from(settings.structure)
    both = specs.is_possible(settings.criterion, structure, threshold=1.0)
    return widgets.choose(
        "Prune by",
        [SPARSITY, THRESHOLD] if both else [SPARSITY],
        "by",
        settings.by,
        "Sparsity: the lowest scores are pruned until this share is reached. Threshold: all scores below it are "
        "pruned.",
    )


def pick_scope(after: Action) -> None:
    """Draws the choice of the pruning scope, which belongs to a sparsity."""
    widgets.choose(
        "Pruning scope",
        list(Scope),
        "scope",
        session.now().scope,
        "Global: the scores of all layers are ranked together, so that layers lose different shares. Layer: each "
        "layer loses the same share.",
        after,
    )


def pick_unit() -> None:
    """Draws the choice of the unit, which belongs to a threshold."""
    settings = specs.fitting(session.now())
    structure, _ = structure_from(settings.structure)
    widgets.choose(
        "Unit of the threshold",
        [unit for unit in Unit if specs.is_possible(settings.criterion, structure, threshold=1.0, unit=unit)],
        "unit",
        settings.unit,
        "Absolute: the unit of the weights. Stds: standard deviations of each layer. Means: the mean |w| of each "
        "layer.",
    )


def sparsity(value: float, after: Action) -> None:
    """Draws the slider of the sparsity, which shows `value` (0..1)."""
    widgets.sparsity_slider(value, **session.bound(SPARSITY, value, after, range_of=max(value, widgets.MOST_SPARSE)))


def threshold(model: str, value: float, after: Action) -> None:
    """Draws the slider of the threshold, which shows `value` in the selected unit."""
    end = max(reach(model), value)
    view = session.bound(THRESHOLD, value, after, range_of=widgets.threshold_scale(end))
    widgets.threshold_slider(end, f"Threshold on {axis()}", **view)


def reach(model: str) -> float:
    """Returns a score that most scores lie below, which is where a slider ends.

    Where the criterion does not fit the network, it is that of magnitudes; the page says what does not fit.
    """
    by = scoring(model)
    if by.prune in (PruneSpec(sparsity=0.5), PruneSpec(threshold=1.0)):
        return networks.largest_useful_threshold(model, by.fold_bn)
    try:
        return score_above(model, MOST_SCORES)
    except (DataError, ValueError):
        return networks.largest_useful_threshold(model, by.fold_bn)


def snapped(model: str, threshold: float) -> float:
    """Returns the position of the threshold slider that is nearest to `threshold`."""
    return widgets.snap(reach(model), threshold)


def score_above(model: str, share: float) -> float:
    """Returns a score that this share (0..1) of the scores lie below."""
    curve = pruning.curve(scoring(model), None)
    return next(threshold for threshold, below in zip(curve.thresholds, curve.shares, strict=True) if below >= share)
