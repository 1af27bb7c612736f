"""What the widgets come to, in two fragments: at once what is computed at once, then accuracy."""

from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from compression.size import Size
from compression.spec import CompressionSpec
from pages.ui import accuracy, charts, compute, controls, format, frame


class Places(NamedTuple):
    """Where the fast fragment puts what."""

    grey: DeltaGenerator
    size: DeltaGenerator
    sparsity: DeltaGenerator
    bit_operations: DeltaGenerator
    weights: DeltaGenerator
    bytes: DeltaGenerator
    zeros: DeltaGenerator


@st.fragment(key=frame.FAST)
def fast(model: str, places: Places) -> None:
    """All but accuracy: three metrics, three charts, and the grey slider.

    Everything is computed before anything is drawn, so that it reaches the browser in one piece: each piece takes it
    10 ms.
    """
    spec, layer = controls.spec(model), controls.layer()
    found, as_float = compute.answer(spec), compute.answer(CompressionSpec(model))
    view = compute.weight_view(spec, layer)
    ink = charts.ink(st.context.theme.type)
    _size(places.size, found.size)
    _sparsity(places.sparsity, found)
    _bit_operations(places.bit_operations, as_float.bit_operations, found.bit_operations)
    alt = "Histogram of the weights before and after compression"
    _chart(places.weights, charts.weights(view, layer or controls.WHOLE, ink), "weights", alt)
    alt = "Bytes of each layer before and after compression"
    _chart(places.bytes, charts.layer_bytes(found.size.layers, found.size.best_name, ink), "bytes", alt)
    _chart(places.zeros, charts.layer_sparsity(found.layers, ink), "zeros", "Share of zeros in each layer")
    controls.grey(places.grey, spec, found.layers)


@st.fragment(key=frame.TRUTH)
def truth(model: str, places: accuracy.Places) -> None:
    """Accuracy, which takes its time. It runs when the fast fragment has been sent."""
    accuracy.panel(controls.spec(model), places, st.session_state["classes"])


def _size(place: DeltaGenerator, size: Size) -> None:
    best = size.best
    ratio = size.float32 / best.total
    _metric(
        place,
        "Size",
        format.size(best.total),
        f"{format.times(ratio)} smaller" if best.total < size.float32 else "as float32",
        f"A count, without file header and entropy coding; float32 takes {size.float32:,} bytes. "
        f"Stored {size.best_name}: "
        f"{best.codes:,} bytes of codes, {best.scales:,} of scales and zero points, {best.masks:,} of masks, "
        f"{best.rest:,} of float32 biases and batch norm. Dense takes {size.dense.total:,} bytes, "
        f"sparse {size.sparse.total:,}.",
    )


def _sparsity(place: DeltaGenerator, found: compute.Answer) -> None:
    _metric(
        place,
        "Sparsity",
        format.percent(1 - found.nonzero / found.weights),
        f"{found.nonzero:,} left",
        f"The share of the {found.weights:,} weights of convolutions and linear layers that are exactly zero: "
        "pruned, or rounded to zero.",
    )


def _bit_operations(place: DeltaGenerator, before: int, after: int) -> None:
    _metric(
        place,
        "Bit operations",
        format.quantity(after),
        f"{format.times(before / after)} fewer" if after < before else "as float32",
        "Multiply-accumulates x weight bits x 32-bit activations, for one image. Zeros count too: ordinary kernels "
        "multiply them all the same.",
    )


def _metric(place: DeltaGenerator, label: str, value: str, against_float: str, words: str) -> None:
    place.metric(label, value, against_float, delta_color="off", delta_arrow="off", border=True, help=words)


def _chart(place: DeltaGenerator, figure: charts.Drawing, key: str, alt: str) -> None:
    place.plotly_chart(figure, config=charts.CONFIG, theme=None, key=key, alt=alt)
