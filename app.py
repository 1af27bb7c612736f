"""Explore: two sliders, and what they do to a network. Streamlit's entry point."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from compression.spec import CompressionSpec
from pages.ui import accuracy, answer, controls, frame

frame.open_page("Explore")
link = frame.linked()
model = frame.pick_network()
st.subheader("How small can this network get, and what does it cost?", anchor=False)
side, main = st.columns([1, 3.6], gap="medium")

with side:
    weights = controls.quantization()
    fold = controls.folding(model)
    spec = controls.pruning(CompressionSpec(model, weights=weights, fold_bn=fold))
    layer = controls.layer(model)

with main:
    metrics = st.columns(4)
    said, asked = st.columns([1.5, 1], vertical_alignment="center")
    top, bottom = st.columns(2), st.columns(2)
    with asked.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        by_class = st.toggle("By class", key="classes", bind="query-params")
        button = st.empty()
    places = accuracy.Places(metrics[0].empty(), said.empty(), button, top[1])
    answer.size(metrics[1], spec)
    answer.sparsity(metrics[2], spec)
    answer.bit_operations(metrics[3], spec)
    answer.weights(top[0], spec, layer)
    answer.layers(bottom[0], bottom[1], spec)

frame.say_rejected(link)
accuracy.panel(spec, places, by_class)
