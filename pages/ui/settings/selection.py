"""The spec that the widgets select, and the link that selects a spec.

Widgets are read by their keys, which works in every run, also in one that does not draw them.
"""

from typing import Any

import streamlit as st

from compression.spec import (
    GROUP_SIZE,
    ActivationSpec,
    Clip,
    CompressionSpec,
    Criterion,
    Granularity,
    Order,
    PruneSpec,
    QuantSpec,
    Scheme,
    Structure,
    Unit,
    structure_from,
)
from compression.spec.recipe import to_link

FLOAT = "float"
SPARSITY, THRESHOLD = "sparsity", "threshold"
ALL = "all"
TWO_OF_FOUR = "2:4"
STRUCTURES = (Structure.WEIGHT, TWO_OF_FOUR, Structure.FILTER)
WHOLE = "whole network"
LAYERS = "layers"  # the key of the settings for single layers, in the link and in the session
ANY_SPARSITY = 0.5  # a target where its value does not matter


def spec(model: str, target: float | None = None) -> CompressionSpec:
    """Returns the spec that the widgets select. `target`, where given, replaces the value of the pruning slider."""
    state = st.session_state
    fold, inputs = state["fold"], state["inputs"]
    return CompressionSpec(
        model,
        prune_spec(target),
        None if state["bits"] == FLOAT else quant_spec(),
        fold_bn=fold,
        activations=None if inputs == FLOAT else ActivationSpec(int(inputs), state["calibration"]),
        order=state["order"] if fold else Order.FOLD_FIRST,
        merge=state["merge"] if fold and state["order"] == Order.FOLD_FIRST else None,
        reestimate_bn=state["reestimate"] and not fold,
    )


def quant_spec() -> QuantSpec:
    """Returns the quantizer that the widgets select, with the nearest bits and group size that its scheme supports."""
    state, width = st.session_state, bits()
    layers: dict[str, Any] = {"only": None if state["only"] == ALL else state["only"], "skip_ends": state["ends"]}
    if state["scheme"] == Scheme.STEP:
        return QuantSpec(width, Scheme.STEP, step=state["step"], **layers)
    clip = Clip(state["clip"]) if can_clip() else Clip.FULL
    group = None
    if state["granularity"] == Granularity.GROUP:
        codebook = 2**width if state["scheme"] == Scheme.K_MEANS else 0  # a group holds at least as many weights
        group = max(state.get("group", GROUP_SIZE), codebook)
    at = state.get(clip_key(clip), clip.default_at)
    return QuantSpec(width, state["scheme"], state["granularity"], clip, at, group, **layers)


def clip_key(clip: Clip) -> str:
    """Returns the key of the widget that sets where `clip` cuts the range."""
    return f"{clip}_at"


def bits() -> int:
    """Returns the bits of the slider, or the nearest that the scheme supports."""
    return Scheme(st.session_state["scheme"]).nearest_bits(int(st.session_state["bits"]))


def can_clip() -> bool:
    """Returns whether the scheme has a range that can be clipped."""
    return Scheme(st.session_state["scheme"]).clippable


def prune_spec(target: float | None = None, units: bool = False) -> PruneSpec:
    """Returns the pruning that the widgets select. `target`, where given, replaces the value of the slider.

    With `units`, the threshold has the unit that is selected; without, it is absolute.
    """
    state = st.session_state
    structure, pattern = structure_from(state["structure"])
    rule: dict[str, Any] = {"criterion": state["criterion"], "structure": structure, "pattern": pattern}
    if structure is Structure.N_M:
        return PruneSpec(**rule)
    if state["by"] == THRESHOLD:
        unit = {"unit": state["unit"]} if units else {}
        return PruneSpec(state[THRESHOLD] if target is None else target, **unit, **rule)
    return PruneSpec(None, state[SPARSITY] if target is None else target, state["scope"], **rule)


def is_possible(
    criterion: Criterion, structure: Structure, pattern: tuple[int, int] | None = None, **target: Any
) -> bool:
    """Returns whether this combination exists and is not the same as another one under a second name."""
    if structure is not Structure.N_M and not target:
        target = {"sparsity": ANY_SPARSITY}
    try:
        return PruneSpec(criterion=criterion, structure=structure, pattern=pattern, **target).criterion is criterion
    except ValueError:
        return False


def as_link(spec: CompressionSpec) -> dict[str, str]:
    """Returns `spec` as the parameters of a link, by the keys of the widgets."""
    parameters = {"model": spec.model, "fold": _word(spec.fold_bn), "bits": FLOAT, "order": spec.order}
    parameters |= {"reestimate": _word(spec.reestimate_bn), "merge": f"{spec.merge or 0:g}", "inputs": FLOAT}
    if spec.weights:
        parameters |= _as_link(spec.weights)
    if spec.activations:
        parameters |= {"inputs": str(spec.activations.bits), "calibration": spec.activations.calibration}
    if spec.prune:
        structure = ":".join(map(str, spec.prune.pattern)) if spec.prune.pattern else spec.prune.structure
        parameters |= {"structure": structure, "criterion": spec.prune.criterion}
    if spec.prune and spec.prune.threshold is not None:
        parameters |= {"by": THRESHOLD, "threshold": f"{spec.prune.threshold:g}"}
        parameters |= {} if spec.prune.unit is Unit.ABSOLUTE else {"unit": spec.prune.unit}
    elif spec.prune and spec.prune.sparsity is not None:
        parameters |= {"by": SPARSITY, "sparsity": f"{spec.prune.sparsity:g}", "scope": spec.prune.scope}
    return parameters | ({LAYERS: to_link(spec.layers)} if spec.layers else {})


def _as_link(weights: QuantSpec) -> dict[str, str]:
    parameters = {key: str(getattr(weights, key)) for key in ("bits", "scheme", "granularity", "clip")}
    parameters |= {"only": weights.only or ALL, "ends": _word(weights.skip_ends)}
    if weights.clip.default_at is not None:
        parameters[clip_key(weights.clip)] = f"{weights.clip_at or weights.clip.default_at:g}"
    numbers = {"group": weights.group_size, "step": weights.step}
    return parameters | {key: f"{number:g}" for key, number in numbers.items() if number}


def _word(switch: bool) -> str:
    return str(switch).lower()


def layer() -> str | None:
    """Returns the layer whose weights are shown, or None for the whole network."""
    name = st.session_state["layer"]
    return None if name == WHOLE else name
