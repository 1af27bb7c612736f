"""Explore: two sliders, and what they do to a network. Streamlit's entry point."""

from functools import partial

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.accuracy import panel
from pages.ui.explore import answer
from pages.ui.frame import frame
from pages.ui.settings import controls, widgets

frame.open_page("Explore")
link = frame.opening_link()
model = frame.pick_network()
st.subheader("How small can this network get, and what does it cost?", anchor=False)
side, main = st.columns([1, 3], gap="medium")  # widths in eighths of a pixel, see charts/style.py

with side:
    controls.draw(model)

with main:
    controls.stop_where_impossible(model)
    first, others = st.columns([1, 3])
    said, how = st.columns([5, 1], vertical_alignment="center")
    left, right = st.columns(2)
    below = st.container()

with others:
    answer.metrics(model)
with left:
    answer.weights(model)
with below:
    answer.layers(model)
with how:
    widgets.pick_accuracy_chart()
with first:
    panel.metric(model)
with said:
    panel.sentence(model)
with right:
    panel.chart(model)
frame.report_rejected(link)
frame.close_page(partial(panel.fragment_order, model))
