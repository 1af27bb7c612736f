"""Which table of layers the page shows.

Streamlit needs the same rows in every run while a table is edited. So the session keeps the settings that the table
began with, and a new table begins whenever the settings of layers change in another way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st

from compression.spec import FLOAT_BITS, LayerSpec
from compression.spec.recipe import from_link, to_link
from pages.ui.state import session, specs

TABLE = "layers table"


@dataclass(frozen=True)
class Table:
    """A table of layers: its number, its network, the settings that it began with, and those that it has now."""

    number: int = 0
    model: str = ""
    initial: str = ""
    latest: str = ""

    @property
    def key(self) -> str:
        """The key of the widget."""
        return f"table {self.number}"

    @property
    def initial_layers(self) -> dict[str, LayerSpec]:
        """The settings that the table began with, by layer."""
        return {layer.name: layer for layer in from_link(self.initial)}


def present() -> Table:
    """Returns the table of now; a new one if the settings are not those that the last one has."""
    last: Table = st.session_state.get(TABLE, Table())
    now = session.now()
    if (last.model, last.latest) != (now.model, now.layers) or not last.number:
        last = Table(last.number + 1, now.model, now.layers, now.layers)
        st.session_state[TABLE] = last
    return last


def keep(layers: Sequence[LayerSpec]) -> None:
    """Replaces the settings of all layers, and stays with the table that is being edited."""
    text = to_link(layers)
    st.session_state[TABLE] = replace(present(), latest=text)
    session.change(layers=text)


def layer_specs() -> tuple[LayerSpec, ...]:
    """Returns the settings of single layers."""
    return from_link(session.now().layers)


def unsupported() -> list[LayerSpec]:
    """Returns the layers whose bits the scheme of the network does not support."""
    now = session.now()
    if now.weight_bits is None:
        return []
    supported = specs.quantizer_of(now).scheme.bits
    return [each for each in layer_specs() if each.bits not in (None, FLOAT_BITS) and each.bits not in supported]
