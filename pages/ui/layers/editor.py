"""A table with a row a layer, in which bits and sparsity can be changed."""

from typing import Any

import pandas as pd
import streamlit as st

from compression.spec import FLOAT_BITS, MAX_BITS, MIN_BITS, LayerSpec
from pages.ui.compute import networks
from pages.ui.layers import state
from pages.ui.settings import selection

MOST_PIXELS, HEADER_PIXELS, ROW_PIXELS = 400, 38, 28
DIGITS = 4  # of a per cent
AS_ALL = "as all"
BITS = [AS_ALL, selection.FLOAT, *(str(bits) for bits in range(MAX_BITS, MIN_BITS - 1, -1))]
BITS_COLUMN, SPARSITY_COLUMN = "Bits", "Sparsity"


def draw(model: str) -> None:
    """The table. What is edited is kept before the page is drawn again, so that all of it shows the same."""
    cards = networks.layer_cards(model, False)
    begun = state.initial_layers()
    rows = pd.DataFrame(
        {
            "Layer": [card.name for card in cards],
            "Kind": [card.kind for card in cards],
            "Weights": [card.weights for card in cards],
            BITS_COLUMN: [_bits_said(begun.get(card.name)) for card in cards],
            SPARSITY_COLUMN: pd.Series([_sparsity_said(begun.get(card.name)) for card in cards], dtype="Float64"),
        }
    )
    st.data_editor(
        rows,
        key=state.table_key(),
        hide_index=True,
        height=min(MOST_PIXELS, HEADER_PIXELS + ROW_PIXELS * len(cards)),
        row_height=ROW_PIXELS,
        placeholder=AS_ALL,
        alt="Layers with kind and weights, and the bits and the sparsity of their own",
        num_rows="fixed",
        disabled=["Layer", "Kind", "Weights"],
        column_config={
            "Layer": st.column_config.TextColumn(width=100),
            "Kind": st.column_config.TextColumn(width=64),
            "Weights": st.column_config.NumberColumn(format="localized", width=58),
            BITS_COLUMN: st.column_config.SelectboxColumn(
                options=BITS, required=True, width=66, help="“as all”: what is set on the left for the whole network"
            ),
            SPARSITY_COLUMN: st.column_config.NumberColumn(
                min_value=0.0,
                max_value=100.0,
                format="%g%%",
                width=80,
                help="Per cent of this layer's weights, the smallest ones, that are pruned whatever is set on the "
                "left. Empty: as all",
            ),
        },
        on_change=_edited,
        args=([card.name for card in cards], state.table_key()),
    )
    for layer in state.impossible(model)[:1]:
        scheme = selection.quant_spec().scheme
        st.caption(
            f":material/info: {scheme} weights cannot have {layer.bits} bits: {layer.name} gets the nearest they can."
        )


def _bits_said(layer: LayerSpec | None) -> str:
    if layer is None or layer.bits is None:
        return AS_ALL
    return selection.FLOAT if layer.bits == FLOAT_BITS else str(layer.bits)


def _sparsity_said(layer: LayerSpec | None) -> float | None:
    """In per cent, as one types it."""
    return None if layer is None or layer.sparsity is None else round(100 * layer.sparsity, DIGITS)


def _edited(names: list[str], key: str) -> None:
    """Keeps what the table says now: what it began with, and the cells that were edited since."""
    layers = state.initial_layers()
    for number, cells in st.session_state[key]["edited_rows"].items():
        name = names[int(number)]
        layer = _changed(name, layers.pop(name, None), cells)
        if layer:
            layers[name] = layer
    state.keep(list(layers.values()))


def _changed(name: str, layer: LayerSpec | None, cells: dict[str, Any]) -> LayerSpec | None:
    bits = layer.bits if layer else None
    if BITS_COLUMN in cells:
        said = cells[BITS_COLUMN]
        bits = None if said in (AS_ALL, None) else FLOAT_BITS if said == selection.FLOAT else int(said)
    sparsity = layer.sparsity if layer else None
    if SPARSITY_COLUMN in cells:
        said = cells[SPARSITY_COLUMN]
        sparsity = None if said is None else round(said / 100, DIGITS + 2)
    return None if bits is None and sparsity is None else LayerSpec(name, bits, sparsity)
