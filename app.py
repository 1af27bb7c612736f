"""Explore: two sliders, and what they do to a network. Streamlit's entry point."""

import streamlit as st

from compression.spec import CompressionSpec
from pages.ui import accuracy, charts, compute, controls, format, frame

model = frame.open_page("Explore")
link = frame.linked()
st.subheader("How small can this network get, and what does it cost?", anchor=False)
side, main = st.columns([1, 3.6], gap="medium")

with side:
    weights = controls.quantization()
    prune = controls.pruning(model)
    spec = CompressionSpec(model, prune=prune, weights=weights)
    layer = controls.layer(model)

compressed, size = compute.compressed(spec), compute.sizes(spec)
operations, float_operations = compute.bit_operations(spec), compute.bit_operations(CompressionSpec(model))

with main:
    places = st.columns(4)
    metric = places[0].empty()
    said, asked = st.columns([1.5, 1], vertical_alignment="center")
    sentence = said.empty()
    places[1].metric(
        "Size",
        format.size(size.best.total),
        f"{format.times(size.float32 / size.best.total)} smaller" if size.best.total < size.float32 else "as float32",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help=f"""The bytes that a file must hold; as float32 it is {size.float32:,}. Stored {size.best_name}:
            {size.best.codes:,} bytes of codes, {size.best.scales:,} of scales and zero points, {size.best.masks:,} of
            masks, {size.best.rest:,} of float32 biases and batch norm. Dense takes {size.dense.total:,} bytes,
            sparse {size.sparse.total:,}.""",
    )
    places[2].metric(
        "Sparsity",
        format.percent(compressed.sparsity),
        f"{compressed.nonzero:,} left",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help=f"The share of the {compressed.weights:,} weights of convolutions and linear layers that are exactly "
        "zero: pruned, or rounded to zero.",
    )
    places[3].metric(
        "Bit operations",
        format.quantity(operations),
        f"{format.times(float_operations / operations)} fewer" if operations < float_operations else "as float32",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help="Multiply-accumulates x weight bits x 32-bit activations, for one image. Zeros count too: "
        "ordinary kernels multiply them all the same.",
    )
    top, bottom = st.columns(2), st.columns(2)
    top[0].plotly_chart(
        charts.weights(compute.weight_view(spec, layer), layer or controls.WHOLE),
        config=charts.CONFIG,
        key="weights",
        alt="Histogram of the weights before and after compression",
    )
    bottom[0].plotly_chart(
        charts.layer_bytes(size.layers, size.best_name),
        config=charts.CONFIG,
        key="bytes",
        alt="Bytes of each layer before and after compression",
    )
    bottom[1].plotly_chart(
        charts.layer_sparsity(compressed.layers), config=charts.CONFIG, key="zeros", alt="Share of zeros in each layer"
    )

frame.say_rejected(link)
accuracy.panel(spec, accuracy.Places(metric, sentence, asked, top[1]))
