"""Layers: bits and sparsity layer by layer, which of them suffer, and recipes of them."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.accuracy import panel as accuracy
from pages.ui.explore import answer
from pages.ui.frame import frame
from pages.ui.layers import answer as layers_answer
from pages.ui.layers import editor as layers_editor
from pages.ui.layers import recipe as layers_recipe
from pages.ui.layers import scan as layers_scan
from pages.ui.layers import state as layers_state
from pages.ui.settings import controls

frame.open_page("Layers")
link = frame.linked()
arriving = frame.is_arriving()
model = frame.pick_network()
st.subheader("Which layers can do with less?", anchor=False)
side, main = st.columns([1, 3], gap="medium")

with side:
    controls.settings(model)
    layers_state.settle(model, arriving)

with main:
    answer.stop_where_impossible(model)
    metrics = st.columns(4)
    said = st.container()
    table, scan = st.columns([1.35, 1], gap="small")

with table:
    layers_editor.draw(model)
    layers_recipe.draw(model)
with scan:
    layers_scan.draw(model)
layers_answer.metrics(metrics[1:], model)
with metrics[0]:
    accuracy.metric(model, layers_state.spec)
with said:
    accuracy.sentence(model, layers_state.spec)
frame.say_rejected(link)
