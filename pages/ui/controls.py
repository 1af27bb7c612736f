"""Widgets -> specs. Every widget is in the URL, so that a link shows the same picture to anyone."""

import math
from dataclasses import replace
from typing import Any

import streamlit as st

from compression.spec import MAX_BITS, CompressionSpec, Granularity, PruneSpec, QuantSpec, Scheme, Scope
from pages.ui import compute

FLOAT = "float"
BITS = [FLOAT, str(MAX_BITS), "8", "7", "6", "5", "4", "3", "2"]
WHOLE = "whole network"
MOST_SPARSE = 0.99
SPARSITY, THRESHOLD = "sparsity", "threshold"


def quantization() -> QuantSpec | None:
    bits = st.select_slider(
        "Bits a weight", BITS, key="bits", bind="query-params", help="32-bit float, or integers with a scale"
    )
    off = bits == FLOAT
    with st.container(horizontal=True, gap="small"):
        scheme = _choice(
            "Scheme",
            list(Scheme),
            "scheme",
            "Symmetric: zero in the middle, scale from the largest |w|. "
            "Affine: the range from the smallest to the largest weight, with an integer zero point.",
            disabled=off,
        )
        granularity = _choice(
            "A scale for each",
            list(Granularity),
            "granularity",
            "One scale for the whole weight tensor, or one for each output channel.",
            default=Granularity.CHANNEL,
            disabled=off,
        )
    return None if off else QuantSpec(int(bits), scheme, granularity)


def folding(model: str) -> bool:
    return st.toggle(
        "Fold batch norm first",
        key="fold",
        bind="query-params",
        disabled=not compute.has_batch_norm(model),
        help="Batch norm goes into the convolution before it, as where networks are deployed: the same function, but "
        "each channel's weights now carry its scale, and one scale for all of them fits few.",
    )


def pruning(spec: CompressionSpec) -> CompressionSpec:
    """`spec`, pruned as the reader says.

    Two sliders for one thing: the one that does not rule is grey and shows what the other one comes to. It has no key:
    assigning to a bound widget sends the browser a stale link.
    """
    by = _choice(
        "Prune by",
        [SPARSITY, THRESHOLD],
        "by",
        "Sparsity: the smallest weights go until this share is zero. Threshold: all weights with |w| below it go.",
    )
    places = {SPARSITY: st.container(), THRESHOLD: st.container()}
    if by == THRESHOLD:
        with places[THRESHOLD]:
            spec = replace(spec, prune=PruneSpec(_threshold_slider(spec, key=THRESHOLD, bind="query-params")))
        layers = compute.compressed(spec).layers
        share = sum(layer.pruned for layer in layers) / sum(layer.weights for layer in layers)
        with places[SPARSITY]:
            _sparsity_slider(value=min(MOST_SPARSE, round(share, 2)), disabled=True)
        return spec
    with places[SPARSITY]:
        prune = PruneSpec(sparsity=_sparsity_slider(key=SPARSITY, bind="query-params"), scope=_scope())
    spec = replace(spec, prune=prune)
    thresholds = [layer.threshold for layer in compute.compressed(spec).layers]
    with places[THRESHOLD]:
        if prune.scope is Scope.GLOBAL:
            top, step = _threshold_scale(spec)
            _threshold_slider(spec, value=min(top, step * round(min(thresholds) / step)), disabled=True)
        else:
            st.caption(f"Threshold on |w|: {min(thresholds):.4f} to {max(thresholds):.4f}, by layer")
    return spec


def _sparsity_slider(**options: Any) -> float:
    return st.slider("Sparsity", 0.0, MOST_SPARSE, step=0.01, format="percent", **options)


def _threshold_slider(spec: CompressionSpec, **options: Any) -> float:
    top, step = _threshold_scale(spec)
    decimals = max(0, -math.floor(math.log10(step)))
    return st.slider("Threshold on |w|", 0.0, top, step=step, format=f"%.{decimals}f", **options)


def _scope() -> Scope:
    return _choice(
        "Scope of the target",
        list(Scope),
        "scope",
        "Global: all weights compete, so large layers lose more. Layer: each layer loses the same share.",
    )


def _choice(label: str, options: list, key: str, words: str, default: Any = None, disabled: bool = False) -> Any:
    """One of a few `options`, in the link under `key`; the first one unless there is a `default`."""
    return st.segmented_control(
        label,
        options,
        default=default or options[0],
        required=True,
        key=key,
        bind="query-params",
        disabled=disabled,
        help=words,
    )


def _threshold_scale(spec: CompressionSpec) -> tuple[float, float]:
    """The end and the step of a threshold slider on which 99 % of these weights lie, in 20 to 200 round steps."""
    reach = compute.largest_useful_threshold(spec.model, spec.fold_bn)
    step = 10.0 ** math.floor(math.log10(reach / 20))
    return step * math.ceil(reach / step), step


def layer(model: str) -> str | None:
    """Which weights to look at: a layer, or None for the whole network."""
    names = [WHOLE, *compute.layer_macs(model)]
    name = st.selectbox("Weights shown", names, key="layer", bind="query-params")
    return None if name == WHOLE else name
