"""The settings of single layers, kept in the session and in the link as a short text such as `conv1:8/0.5`.

The table edits this text. Streamlit needs the same rows in every run while a table is edited. So the session also keeps
the text that the table began with, and a new table begins whenever the settings change in another way.
"""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from compression.spec import FLOAT_BITS, CompressionSpec, LayerSpec, QuantSpec
from compression.spec.recipe import from_link, to_link
from pages.ui.compute import compressed
from pages.ui.settings import selection

OWNER, INITIAL, TABLE = "layers of", "layers begun", "layers table"


def synchronise(model: str, arriving: bool) -> None:
    """Makes sure that the session has the layers of this network, and that the link has the same."""
    stored, owner = st.session_state.get(selection.LAYERS, ""), st.session_state.get(OWNER)
    text = st.query_params.get(selection.LAYERS, stored if owner == model else "") if arriving else stored
    if arriving or owner != model:
        foreign = text == stored and owner not in (None, model)
        reset(model, () if foreign or not arriving else _read(model, text))
    text = st.session_state.get(selection.LAYERS, "")
    if text and st.query_params.get(selection.LAYERS) != text:
        st.query_params[selection.LAYERS] = text
    elif not text:
        st.query_params.pop(selection.LAYERS, None)


def _read(model: str, text: str) -> tuple[LayerSpec, ...]:
    """Returns the layers of a link. If they are impossible, shows a sentence on why and returns none."""
    try:
        layers = from_link(text)
        check(model, layers)
    except ValueError as problem:
        st.warning(f"The settings of layers in the link are ignored: {problem}.", icon=":material/link_off:")
        return ()
    return layers


def check(model: str, layers: Sequence[LayerSpec]) -> None:
    """Raises ValueError for a layer that the network does not have."""
    compressed.answer(CompressionSpec(model, layers=tuple(layers)))


def reset(model: str, layers: Sequence[LayerSpec]) -> None:
    """Replaces the settings of all layers, and begins a new table."""
    number = st.session_state.get(TABLE, 0) + 1
    st.session_state.update({OWNER: model, INITIAL: to_link(layers), TABLE: number})
    keep(layers)


def keep(layers: Sequence[LayerSpec]) -> None:
    """Replaces the settings of all layers, and stays with the table that is being edited."""
    if layers:
        st.session_state[selection.LAYERS] = to_link(layers)
    else:
        st.session_state.pop(selection.LAYERS, None)  # so that links to other pages do not mention it


def initial_layers() -> dict[str, LayerSpec]:
    """Returns the settings that the table began with, by layer."""
    return {layer.name: layer for layer in from_link(st.session_state[INITIAL])}


def table_key() -> str:
    """Returns the key of the present table."""
    return f"table {st.session_state[TABLE]}"


def layer_specs() -> tuple[LayerSpec, ...]:
    """Returns the settings of single layers."""
    return from_link(st.session_state.get(selection.LAYERS, ""))


def spec(model: str) -> CompressionSpec:
    """Returns the spec that the widgets and the table select."""
    base = selection.spec(model)
    layers = (_with_possible_bits(layer, base.weights) for layer in layer_specs())
    return replace(base, layers=tuple(layer for layer in layers if layer))


def _with_possible_bits(layer: LayerSpec, weights: QuantSpec | None) -> LayerSpec | None:
    """Returns `layer` with the nearest bits that the scheme supports; None if no setting of its own remains."""
    if layer.bits in (None, FLOAT_BITS) or weights is None:
        return layer
    bits = weights.scheme.nearest_bits(layer.bits)
    if bits != weights.bits:
        return replace(layer, bits=bits)
    return None if layer.sparsity is None else replace(layer, bits=None)


def impossible(model: str) -> list[LayerSpec]:
    """Returns the layers whose bits the scheme of the network does not support."""
    weights = selection.spec(model).weights
    if weights is None:
        return []
    return [
        each for each in layer_specs() if each.bits not in (None, FLOAT_BITS) and each.bits not in weights.scheme.bits
    ]
