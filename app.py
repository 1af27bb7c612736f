"""The page Explore: all settings of a network, and what they do to it. Streamlit's entry point."""

from functools import partial

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.accuracy import panel
from pages.ui.explore import answer, frozen
from pages.ui.frame import frame, look
from pages.ui.settings import controls, widgets

frame.open_page("Explore")
model = frame.pick_network()
st.subheader("How small can this network get, and what does it cost?", anchor=False)
with st.container(key=look.PAGE):
    settings_place, main = st.columns([1, 3], gap="medium")  # widths in eighths of a pixel, see charts/style.py

with settings_place:
    controls.draw(model)
    frozen.buttons(model)

with main:
    controls.stop_where_impossible(model)
    with st.container(key=look.ANSWER):
        accuracy_place, metrics_place = st.columns([1, 3])
    frozen_place = st.container()
    sentence_place, picker_place = st.columns([5, 1], vertical_alignment="center")
    weights_place, chart_place = st.columns(2)
    layers_place = st.container()

with metrics_place:
    answer.metrics(model)
with weights_place:
    answer.weights(model)
with layers_place:
    answer.layers(model)
with picker_place:
    widgets.pick_accuracy_chart()
with accuracy_place:
    panel.metric(model)
with sentence_place:
    panel.sentence(model)
with chart_place:
    panel.chart(model)
with frozen_place:
    frozen.numbers()
answer.sketch(model)
frame.close_page(partial(panel.fragment_order, model))
