"""Layers: bits and sparsity layer by layer, which of them suffer, and recipes of them."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.accuracy import panel
from pages.ui.frame import frame
from pages.ui.layers import answer, editor, recipe, scan, state
from pages.ui.settings import controls

frame.open_page("Layers")
link = frame.opening_link()
arriving = frame.is_arriving()
model = frame.pick_network()
st.subheader("Which layers can do with less?", anchor=False)
side, main = st.columns([1, 3], gap="medium")

with side:
    controls.settings(model)
    state.synchronise(model, arriving)

with main:
    controls.stop_where_impossible(model)
    metrics = st.columns(4)
    said = st.container()
    table_place, scan_place = st.columns([1.35, 1], gap="small")

with table_place:
    editor.draw(model)
    recipe.draw(model)
with scan_place:
    scan.draw(model)
answer.metrics(metrics[1:], model)
with metrics[0]:
    panel.metric(model, state.spec)
with said:
    panel.sentence(model, state.spec)
frame.report_rejected(link)
