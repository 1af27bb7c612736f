"""What the widgets come to, in two fragments: at once what is computed at once, then accuracy."""

from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

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
    """All but accuracy: three metrics, three charts, and the grey slider."""
    spec = controls.spec(model)
    _size(places.size, spec)
    _sparsity(places.sparsity, spec)
    _bit_operations(places.bit_operations, spec)
    _weights(places.weights, spec, controls.layer())
    _layers(places.bytes, places.zeros, spec)
    controls.grey(places.grey, spec)


@st.fragment(key=frame.TRUTH)
def truth(model: str, places: accuracy.Places) -> None:
    """Accuracy, which takes its time. It runs when the fast fragment has been sent."""
    accuracy.panel(controls.spec(model), places, st.session_state["classes"])


def _size(place: DeltaGenerator, spec: CompressionSpec) -> None:
    found = compute.sizes(spec)
    best = found.best
    ratio = found.float32 / best.total
    _metric(
        place,
        "Size",
        format.size(best.total),
        f"{format.times(ratio)} smaller" if best.total < found.float32 else "as float32",
        f"A count, without file header and entropy coding; float32 takes {found.float32:,} bytes. "
        f"Stored {found.best_name}: "
        f"{best.codes:,} bytes of codes, {best.scales:,} of scales and zero points, {best.masks:,} of masks, "
        f"{best.rest:,} of float32 biases and batch norm. Dense takes {found.dense.total:,} bytes, "
        f"sparse {found.sparse.total:,}.",
    )


def _sparsity(place: DeltaGenerator, spec: CompressionSpec) -> None:
    compressed = compute.compressed(spec)
    _metric(
        place,
        "Sparsity",
        format.percent(compressed.sparsity),
        f"{compressed.nonzero:,} left",
        f"The share of the {compressed.weights:,} weights of convolutions and linear layers that are exactly zero: "
        "pruned, or rounded to zero.",
    )


def _bit_operations(place: DeltaGenerator, spec: CompressionSpec) -> None:
    before, after = compute.bit_operations(CompressionSpec(spec.model)), compute.bit_operations(spec)
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


def _weights(place: DeltaGenerator, spec: CompressionSpec, layer: str | None) -> None:
    figure = charts.weights(compute.weight_view(spec, layer), layer or controls.WHOLE)
    alt = "Histogram of the weights before and after compression"
    place.plotly_chart(figure, config=charts.CONFIG, key="weights", alt=alt)


def _layers(place: DeltaGenerator, other: DeltaGenerator, spec: CompressionSpec) -> None:
    found = compute.sizes(spec)
    figure = charts.layer_bytes(found.layers, found.best_name)
    place.plotly_chart(
        figure, config=charts.CONFIG, key="bytes", alt="Bytes of each layer before and after compression"
    )
    figure = charts.layer_sparsity(compute.compressed(spec).layers)
    other.plotly_chart(figure, config=charts.CONFIG, key="zeros", alt="Share of zeros in each layer")
