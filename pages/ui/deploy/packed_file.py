"""The packed file: where each of its bytes goes, and why it is not smaller."""

from operator import itemgetter

import pandas as pd
import streamlit as st

from compression.files.ledger import FileLedger, explain_size
from compression.spec import CompressionSpec
from pages.ui.charts import deploy as deploy_charts
from pages.ui.charts import show
from pages.ui.compute import deploy, recovery
from pages.ui.settings import selection

WORDS = """\
Entropy coding gives frequent codes fewer bits; with contexts, what is frequent depends on the weights around. Order-0
bound: the entropy of the codes and of the positions of nonzero weights. No coding that looks at each weight alone needs
less for these. Scales, biases, batch norm and the header are added to it."""

RIVALS = """\
Every compressor gets the same content: settings, codes, scales, and biases and batch norm as float32, once with a byte
for each code and once with the bits of codes packed; the shorter result counts. Deep Compression (Han et al. 2015)
stores nonzero weights and the gaps between them in Huffman codes."""

NUMBERS = ("Weights", "Nonzero", "Bytes", "Bound")


def draw(model: str) -> None:
    """Shows the steps from float32 weights to the file on disk."""
    spec = selection.spec(model)
    if not recovery.is_there(spec):
        st.caption("The files follow when the network is recovered.")
        return
    with st.spinner("Packing the weights"):
        found = deploy.packed_file(spec)
    if isinstance(found, Exception):
        st.caption(f":material/info: There is no packed file: {found}.")
        return
    _, ledger = found
    st.markdown(explain_size(ledger))
    alt = "Steps from the bytes of the weights in float32 to those of the file on disk"
    show.chart(deploy_charts.waterfall(ledger, show.ink()), "waterfall", alt)
    st.caption(WORDS)
    with st.expander("Bytes per layer"):
        table = _rows(ledger)
        numbers = st.column_config.NumberColumn(format="localized")
        alt = "Weights, bits, coding and bytes of each layer"
        st.dataframe(table, column_config=dict.fromkeys(NUMBERS, numbers), hide_index=True, alt=alt)
    if st.toggle("Compare with other compressors", key="rivals"):
        _compare(spec, ledger)


def _compare(spec: CompressionSpec, ledger: FileLedger) -> None:
    """Shows what other compressors make of the same content."""
    with st.spinner("Compressing with gzip, zstd, xz and brotli"):
        rivals = deploy.rivals(spec)
    rows: list[tuple[str, int, float | None]] = [("This file", ledger.total, None)]
    rows += [(name, size, 100 * (size / ledger.total - 1)) for name, size in sorted(rivals.items(), key=itemgetter(1))]
    table = pd.DataFrame(rows, columns=["Compressor", "Bytes", "Larger by"])
    columns = {
        "Bytes": st.column_config.NumberColumn(format="localized"),
        "Larger by": st.column_config.NumberColumn(format="%.1f %%"),
    }
    alt = "Bytes of the packed file, and of the same content by other compressors"
    st.dataframe(table, column_config=columns, hide_index=True, width="content", alt=alt)
    st.caption(RIVALS)


def _rows(ledger: FileLedger) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Layer": layer.name,
            "Weights": layer.weights,
            "Nonzero": layer.survivors,
            "Bits": layer.bits,
            "Coding": layer.coding,
            "Bytes": layer.total,
            "Bound": round(layer.bound),
        }
        for layer in ledger.layers
    )
