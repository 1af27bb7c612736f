"""What is computed at once: three metrics and two charts, in fragments that a move of a slider draws anew."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from compression.files.size import Size
from compression.inspect.histogram import WeightView
from compression.spec import CompressionSpec, Criterion
from pages.ui import compute, format
from pages.ui.charts import show
from pages.ui.charts import style as charts
from pages.ui.frame import frame
from pages.ui.settings import controls, wanted


def stop_where_impossible(model: str) -> None:
    """Says why the network cannot be compressed as the widgets say, and draws no more; with pruning, were it wanted:
    no slider leads there later.
    """
    problem = compute.problem(wanted.spec(model, None if st.session_state["criterion"] == Criterion.L1 else wanted.ANY))
    if problem:
        st.info(problem, icon=":material/error:")
        st.stop()


def _known(model: str) -> tuple[compute.Answer, WeightView]:
    """All that the fragments below need. The first of them computes it, so that all reach the browser in one piece:
    each piece takes it 10 ms.
    """
    spec = wanted.spec(model)
    return compute.answer(spec), compute.weight_view(spec, controls.layer())


@st.fragment(key=frame.METRICS)
def metrics(model: str) -> None:
    """Size, sparsity and bit operations."""
    found, _ = _known(model)
    size, sparsity, operations = st.columns(3)
    size_metric(size, found.size)
    sparsity_metric(sparsity, found)
    bit_operations_metric(operations, compute.answer(CompressionSpec(model)).bit_operations, found.bit_operations)


@st.fragment(key=frame.WEIGHTS)
def weights(model: str) -> None:
    """The histogram before and after."""
    _, view = _known(model)
    alt = "Histogram of the weights before and after compression"
    show.chart(charts.weights(view, controls.layer() or controls.WHOLE, show.ink()), "weights", alt)


@st.fragment(key=frame.LAYERS)
def layers(model: str) -> None:
    """Bytes and zeros of each layer."""
    found, _ = _known(model)
    alt = "Bytes of each layer before and after compression, and its share of zeros"
    show.chart(charts.layers(found.size.layers, found.size.best_name, found.layers, show.ink()), "layers", alt)


def size_metric(place: DeltaGenerator, size: Size) -> None:
    best = size.best
    ratio = size.float32 / best.total
    show_metric(
        place,
        "Size",
        format.size(best.total),
        f"{format.times(ratio)} smaller" if best.total < size.float32 else "as float32",
        f"A count, without file header and entropy coding; float32 takes {size.float32:,} bytes. "
        f"Stored {size.best_name}: {best.codes:,} bytes of codes, {best.scales:,} of scales, zero points, codebooks, "
        f"{best.masks:,} of masks, {best.rest:,} of float32 biases and batch norm. "
        f"Dense takes {size.dense.total:,} bytes, sparse {size.sparse.total:,}.",
    )


def sparsity_metric(place: DeltaGenerator, found: compute.Answer) -> None:
    show_metric(
        place,
        "Sparsity",
        format.percent(found.sparsity),
        f"{found.nonzero:,} left",
        f"The share of the {found.weights:,} weights of convolutions and linear layers that are exactly zero: "
        "pruned, or rounded to zero.",
    )


def bit_operations_metric(place: DeltaGenerator, before: int, after: int) -> None:
    show_metric(
        place,
        "Bit operations",
        format.quantity(after),
        f"{format.times(before / after)} fewer" if after < before else "as float32",
        "Multiply-accumulates x weight bits x activation bits, for one image. Zeros count too: ordinary kernels "
        "multiply them all the same.",
    )


def show_metric(place: DeltaGenerator, label: str, value: str, against_float: str, words: str) -> None:
    place.metric(label, value, against_float, delta_color="off", delta_arrow="off", border=True, help=words)
