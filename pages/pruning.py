"""The page Pruning: which weights are pruned, by which criterion, and what that costs."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.accuracy import panel
from pages.ui.frame import frame, look
from pages.ui.pruning import answer, controls, specs

frame.open_page("Pruning")
model = frame.pick_network()
st.subheader("Which weights are pruned, and what does it cost?", anchor=False)
with st.container(key=look.PAGE):
    settings_place, main = st.columns([1, 3], gap="medium")  # widths in eighths of a pixel, see charts/style.py

with settings_place:
    controls.draw(model)

with main:
    problem = answer.problem(model)
    if problem:
        st.info(problem, icon=":material/image_search:")
        st.stop()
    with st.container(key=look.ANSWER):
        accuracy_place, metrics_place, macs_place = st.columns([1, 2, 1])
    sentence_place = st.container()
    controls.notes(model)
    left, mosaic_place = st.columns(2)
    with left:
        curve_place = st.container()
        controls.sliders(model)
    overlap_place, ranking_place = st.columns(2)
    removal_place = st.container()

with metrics_place:
    answer.metrics(model)
with curve_place:
    answer.curve(model)
with mosaic_place:
    answer.mosaic(model)
with overlap_place:
    controls.pick_alternative(model)
    answer.overlap(model)
with ranking_place:
    answer.ranking(model)
with removal_place:
    answer.removal(model)
with macs_place:
    answer.macs(model)
with accuracy_place:
    panel.metric(model, specs.spec)
with sentence_place:
    panel.sentence(model, specs.spec)
frame.close_page()
