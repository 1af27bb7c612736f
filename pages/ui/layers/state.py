"""What the layers of a network have of their own: kept in the session and in the link as a few words, `conv1:8/0.5`.

The table is an editor of these words. It must be given the same rows again and again while it is edited, so the words
it began with are kept beside, and a new table begins when they change in another way.
"""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from compression.spec import FLOAT_BITS, CompressionSpec, LayerSpec, QuantSpec
from compression.spec.recipe import from_link, to_link
from pages.ui.compute import compressed
from pages.ui.settings import selection

OWNER, BEGUN, TABLE = "layers of", "layers begun", "layers table"


def synchronise(model: str, arriving: bool) -> None:
    """Makes sure that what the session keeps is of this network, and that the link says the same."""
    kept, owner = st.session_state.get(selection.LAYERS, ""), st.session_state.get(OWNER)
    text = st.query_params.get(selection.LAYERS, kept if owner == model else "") if arriving else kept
    if arriving or owner != model:
        ours = text == kept and owner not in (None, model)
        reset(model, () if ours or not arriving else _read(model, text))
    text = st.session_state.get(selection.LAYERS, "")
    if text and st.query_params.get(selection.LAYERS) != text:
        st.query_params[selection.LAYERS] = text
    elif not text:
        st.query_params.pop(selection.LAYERS, None)


def _read(model: str, text: str) -> tuple[LayerSpec, ...]:
    """What a link says, or a sentence on why it cannot be so, and nothing."""
    try:
        layers = from_link(text)
        check(model, layers)
    except ValueError as problem:
        st.warning(f"The layers of the link are left out: {problem}.", icon=":material/link_off:")
        return ()
    return layers


def check(model: str, layers: Sequence[LayerSpec]) -> None:
    """Raises ValueError for a layer that the network does not have."""
    compressed.answer(CompressionSpec(model, layers=tuple(layers)))


def reset(model: str, layers: Sequence[LayerSpec]) -> None:
    """From now on these are what the layers have of their own, in a new table."""
    number = st.session_state.get(TABLE, 0) + 1
    st.session_state.update({OWNER: model, BEGUN: to_link(layers), TABLE: number})
    keep(layers)


def keep(layers: Sequence[LayerSpec]) -> None:
    """The same, in the table that is being edited."""
    if layers:
        st.session_state[selection.LAYERS] = to_link(layers)
    else:
        st.session_state.pop(selection.LAYERS, None)  # or links to other pages would speak of it


def initial_layers() -> dict[str, LayerSpec]:
    """What the table began with, by layer."""
    return {layer.name: layer for layer in from_link(st.session_state[BEGUN])}


def table_key() -> str:
    return f"table {st.session_state[TABLE]}"


def layer_specs() -> tuple[LayerSpec, ...]:
    """What the layers have of their own now."""
    return from_link(st.session_state.get(selection.LAYERS, ""))


def spec(model: str) -> CompressionSpec:
    """What the widgets and the table say now, in whichever run."""
    base = selection.spec(model)
    layers = (_possible(layer, base.weights) for layer in layer_specs())
    return replace(base, layers=tuple(layer for layer in layers if layer))


def _possible(layer: LayerSpec, weights: QuantSpec | None) -> LayerSpec | None:
    """`layer` with the nearest bits that the scheme of the network can have; None where it then has nothing own."""
    if layer.bits in (None, FLOAT_BITS) or weights is None:
        return layer
    bits = weights.scheme.nearest_bits(layer.bits)
    if bits != weights.bits:
        return replace(layer, bits=bits)
    return None if layer.sparsity is None else replace(layer, bits=None)


def impossible(model: str) -> list[LayerSpec]:
    """Those layers whose bits the scheme of the network cannot have."""
    weights = selection.spec(model).weights
    if weights is None:
        return []
    return [
        each for each in layer_specs() if each.bits not in (None, FLOAT_BITS) and each.bits not in weights.scheme.bits
    ]
