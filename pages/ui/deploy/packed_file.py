"""The packed file: where each of its bytes goes, and why it is no smaller."""

import pandas as pd
import streamlit as st

from compression.files.ledger import FileLedger, explain_size
from pages.ui.charts import deploy as deploy_charts
from pages.ui.charts import show
from pages.ui.compute import deploy
from pages.ui.settings import selection

WORDS = """\
Order-0 bound: the entropy of the codes and of which weights are left. No coding of one weight after another takes less
for these; scales, biases, batch norm and the header come on top."""

NUMBERS = ("Weights", "Left", "Bytes", "Bound")


def draw(model: str) -> None:
    """From float32 down to what is on the disk."""
    with st.spinner("Packing the weights"):
        found = deploy.packed_file(selection.spec(model))
    if isinstance(found, Exception):
        st.caption(f":material/info: There is no packed file: {found}.")
        return
    _, ledger = found
    st.markdown(explain_size(ledger))
    alt = "From the bytes of the weights as float32 down to those of the file on the disk"
    show.chart(deploy_charts.waterfall(ledger, show.ink()), "waterfall", alt)
    st.caption(WORDS)
    with st.expander("The file, layer by layer"):
        table = _rows(ledger)
        numbers = st.column_config.NumberColumn(format="localized")
        alt = "The layers: weights, bits, coding, bytes in the file"
        st.dataframe(table, column_config=dict.fromkeys(NUMBERS, numbers), hide_index=True, alt=alt)


def _rows(ledger: FileLedger) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Layer": layer.name,
            "Weights": layer.weights,
            "Left": layer.survivors,
            "Bits": layer.bits,
            "Coding": layer.coding,
            "Bytes": layer.total,
            "Bound": round(layer.bound),
        }
        for layer in ledger.layers
    )
