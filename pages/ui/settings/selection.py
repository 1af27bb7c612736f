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
LAYERS = "layers"  # the key, in the link and in the session, of what single layers have of their own
ANY_SPARSITY = 0.5  # a target, where none matters


def spec(model: str, target: float | None = None) -> CompressionSpec:
    """All that Explore asks for; pruned up to `target` in place of what the sliders say."""
    said = st.session_state
    fold = said["fold"]
    inputs = said["inputs"]
    return CompressionSpec(
        model,
        prune_spec(target),
        None if said["bits"] == FLOAT else quant_spec(),
        fold_bn=fold,
        activations=None if inputs == FLOAT else ActivationSpec(int(inputs), said["calibration"]),
        order=said["order"] if fold else Order.FOLD_FIRST,
        merge=said["merge"] if fold and said["order"] == Order.FOLD_FIRST else None,
        reestimate_bn=said["reestimate"] and not fold,
    )


def quant_spec() -> QuantSpec:
    """The quantizer, with the bits of the slider or the nearest that its scheme can have, and groups as large as its
    codebooks ask for.
    """
    said, found = st.session_state, bits()
    layers: dict[str, Any] = {"only": None if said["only"] == ALL else said["only"], "skip_ends": said["ends"]}
    if said["scheme"] == Scheme.STEP:
        return QuantSpec(found, Scheme.STEP, step=said["step"], **layers)
    clip = Clip(said["clip"]) if can_clip() else Clip.FULL
    group = None
    if said["granularity"] == Granularity.GROUP:
        group = max(said.get("group", GROUP_SIZE), 2**found if said["scheme"] == Scheme.K_MEANS else 0)
    at = said.get(clip_key(clip), clip.default_at)
    return QuantSpec(found, said["scheme"], said["granularity"], clip, at, group, **layers)


def clip_key(clip: Clip) -> str:
    """The key of the widget that says where `clip` cuts."""
    return f"{clip}_at"


def bits() -> int:
    """The bits of the slider, or the nearest that the scheme can have."""
    return Scheme(st.session_state["scheme"]).nearest_bits(int(st.session_state["bits"]))


def can_clip() -> bool:
    """Whether the scheme has a range that could be clipped."""
    return Scheme(st.session_state["scheme"]).clippable


def prune_spec(target: float | None = None, units: bool = False) -> PruneSpec:
    """What goes; up to `target` in place of what the sliders say. `units`: the threshold may be in units of a layer."""
    said = st.session_state
    structure, pattern = structure_from(said["structure"])
    rule: dict[str, Any] = {"criterion": said["criterion"], "structure": structure, "pattern": pattern}
    if structure is Structure.N_M:
        return PruneSpec(**rule)
    if said["by"] == THRESHOLD:
        unit = {"unit": said["unit"]} if units else {}
        return PruneSpec(said[THRESHOLD] if target is None else target, **unit, **rule)
    return PruneSpec(None, said[SPARSITY] if target is None else target, said["scope"], **rule)


def is_possible(
    criterion: Criterion, structure: Structure, pattern: tuple[int, int] | None = None, **target: Any
) -> bool:
    """Whether there is such a way to prune, and it is not another one by another name."""
    if structure is not Structure.N_M and not target:
        target = {"sparsity": ANY_SPARSITY}
    try:
        return PruneSpec(criterion=criterion, structure=structure, pattern=pattern, **target).criterion is criterion
    except ValueError:
        return False


def as_link(spec: CompressionSpec) -> dict[str, str]:
    """Returns `spec` as the parameters of a link, by the keys of the widgets."""
    said = {"model": spec.model, "fold": _word(spec.fold_bn), "bits": FLOAT, "order": spec.order}
    said |= {"reestimate": _word(spec.reestimate_bn), "merge": f"{spec.merge or 0:g}", "inputs": FLOAT}
    if spec.weights:
        said |= _as_link(spec.weights)
    if spec.activations:
        said |= {"inputs": str(spec.activations.bits), "calibration": spec.activations.calibration}
    if spec.prune:
        structure = ":".join(map(str, spec.prune.pattern)) if spec.prune.pattern else spec.prune.structure
        said |= {"structure": structure, "criterion": spec.prune.criterion}
    if spec.prune and spec.prune.threshold is not None:
        said |= {"by": THRESHOLD, "threshold": f"{spec.prune.threshold:g}"}
        said |= {} if spec.prune.unit is Unit.ABSOLUTE else {"unit": spec.prune.unit}
    elif spec.prune and spec.prune.sparsity is not None:
        said |= {"by": SPARSITY, "sparsity": f"{spec.prune.sparsity:g}", "scope": spec.prune.scope}
    return said | ({LAYERS: to_link(spec.layers)} if spec.layers else {})


def _as_link(weights: QuantSpec) -> dict[str, str]:
    said = {key: str(getattr(weights, key)) for key in ("bits", "scheme", "granularity", "clip")}
    said |= {"only": weights.only or ALL, "ends": _word(weights.skip_ends)}
    if weights.clip.default_at is not None:
        said[clip_key(weights.clip)] = f"{weights.clip_at or weights.clip.default_at:g}"
    numbers = {"group": weights.group_size, "step": weights.step}
    return said | {key: f"{number:g}" for key, number in numbers.items() if number}


def _word(switch: bool) -> str:
    return str(switch).lower()


def layer() -> str | None:
    """Which weights to look at: a layer, or None for the whole network."""
    name = st.session_state["layer"]
    return None if name == WHOLE else name
