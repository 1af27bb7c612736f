"""The table of layers, in which bits and sparsity of each layer can be edited."""

from typing import Any

import pandas as pd
import streamlit as st

from compression.spec import FLOAT_BITS, MAX_BITS, MIN_BITS, LayerSpec
from pages.ui.compute import networks
from pages.ui.layers import table
from pages.ui.state import session
from pages.ui.state.value import FLOAT

MOST_PIXELS, HEADER_PIXELS, ROW_PIXELS = 400, 38, 28
DIGITS = 4  # of a sparsity in percent
DEFAULT = "default"
BITS = [DEFAULT, FLOAT, *(str(bits) for bits in range(MAX_BITS, MIN_BITS - 1, -1))]
BITS_COLUMN, SPARSITY_COLUMN = "Bits", "Sparsity"
COLUMNS = {
    "Layer": st.column_config.TextColumn(width=100),
    "Kind": st.column_config.TextColumn(width=64),
    "Weights": st.column_config.NumberColumn(format="localized", width=58),
    BITS_COLUMN: st.column_config.SelectboxColumn(
        options=BITS,
        required=True,
        width=66,
        help="Default: the bits that are set on the left for the whole network. Float: the inputs of the layer stay in "
        "float too",
    ),
    SPARSITY_COLUMN: st.column_config.NumberColumn(
        min_value=0.0,
        max_value=100.0,
        format="%g%%",
        width=80,
        help="The percentage of this layer's weights that is pruned, lowest scores first. Default: what is set on the "
        "left for the whole network",
    ),
}


def draw(model: str) -> None:
    """Draws the table. An edit is stored before the page runs again, so that the whole page shows the same settings."""
    cards = networks.layer_cards(model, False)
    shown = table.present()
    initial = shown.initial_layers
    rows = pd.DataFrame(
        {
            "Layer": [card.name for card in cards],
            "Kind": [card.kind for card in cards],
            "Weights": [card.weights for card in cards],
            BITS_COLUMN: [_bits_cell(initial.get(card.name)) for card in cards],
            SPARSITY_COLUMN: pd.Series([_sparsity_cell(initial.get(card.name)) for card in cards], dtype="Float64"),
        }
    )
    st.data_editor(
        rows,
        key=shown.key,
        hide_index=True,
        height=min(MOST_PIXELS, HEADER_PIXELS + ROW_PIXELS * len(cards)),
        row_height=ROW_PIXELS,
        placeholder=DEFAULT,
        alt="Layers with kind, number of weights, bits and sparsity",
        num_rows="fixed",
        disabled=["Layer", "Kind", "Weights"],
        column_config=COLUMNS,
        on_change=_edited,
        args=([card.name for card in cards],),
    )
    for layer in table.unsupported()[:1]:
        scheme = session.now().scheme
        st.caption(
            f":material/info: The scheme {scheme} does not support {layer.bits} bits: {layer.name} gets the nearest "
            "bits that it supports."
        )


def _bits_cell(layer: LayerSpec | None) -> str:
    """Returns the bits of a layer as a choice of the table."""
    if layer is None or layer.bits is None:
        return DEFAULT
    return FLOAT if layer.bits == FLOAT_BITS else str(layer.bits)


def _sparsity_cell(layer: LayerSpec | None) -> float | None:
    """Returns the sparsity of a layer in percent, as it is typed; None if it has none of its own."""
    return None if layer is None or layer.sparsity is None else round(100 * layer.sparsity, DIGITS)


def _edited(names: list[str]) -> None:
    """Stores what the table has: what it began with, and the cells that have been edited since."""
    shown = table.present()
    layers = shown.initial_layers
    for number, cells in st.session_state[shown.key]["edited_rows"].items():
        name = names[int(number)]
        layer = _edited_layer(name, layers.pop(name, None), cells)
        if layer:
            layers[name] = layer
    table.keep(list(layers.values()))


def _edited_layer(name: str, layer: LayerSpec | None, cells: dict[str, Any]) -> LayerSpec | None:
    """Returns `layer` with the edited `cells`; None if no setting of its own remains."""
    bits = layer.bits if layer else None
    if BITS_COLUMN in cells:
        cell = cells[BITS_COLUMN]
        bits = None if cell in (DEFAULT, None) else FLOAT_BITS if cell == FLOAT else int(cell)
    sparsity = layer.sparsity if layer else None
    if SPARSITY_COLUMN in cells:
        cell = cells[SPARSITY_COLUMN]
        sparsity = None if cell is None else round(cell / 100, DIGITS + 2)
    return None if bits is None and sparsity is None else LayerSpec(name, bits, sparsity)
