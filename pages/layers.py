"""The page Layers: bits and sparsity of each layer, the sensitivity of the layers, and recipes."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.accuracy import panel
from pages.ui.frame import frame, look
from pages.ui.layers import answer, editor, recipe, scan
from pages.ui.settings import controls

frame.open_page("Layers")
model = frame.pick_network()
st.subheader("Which layers tolerate fewer bits and weights?", anchor=False)
with st.container(key=look.PAGE):
    settings_place, main = st.columns([1, 3], gap="medium")

with settings_place:
    controls.settings(model)

with main:
    controls.stop_where_impossible(model)
    with st.container(key=look.ANSWER):
        accuracy_place, *metric_places = st.columns(4)
    sentence_place = st.container()
    table_place, scan_place = st.columns([1.35, 1], gap="small")

with table_place:
    editor.draw(model)
    recipe.draw(model)
with scan_place:
    scan.draw(model)
answer.metrics(metric_places, model)
with accuracy_place:
    panel.metric(model)
with sentence_place:
    panel.sentence(model)
