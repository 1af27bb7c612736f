"""Pruning: what goes, by which score, and what that costs."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.accuracy import panel as accuracy
from pages.ui.frame import frame
from pages.ui.pruning import answer as pruning_answer
from pages.ui.pruning import controls as pruning_controls

frame.open_page("Pruning")
link = frame.linked()
model = frame.pick_network()
st.subheader("What goes, and what does it cost?", anchor=False)
side, main = st.columns([1, 3], gap="medium")  # widths in eighths of a pixel, see charts.py

with side:
    pruning_controls.draw(model)

with main:
    problem = pruning_answer.problem(model)
    if problem:
        st.info(problem, icon=":material/image_search:")
        st.stop()
    first, others, last = st.columns([1, 2, 1])
    said = st.container()
    left, right = st.columns(2)
    with left:
        above = st.container()
        pruning_controls.sliders(model)
    lower_left, lower_right = st.columns(2)
    below = st.container()

with others:
    pruning_answer.metrics(model)
with above:
    pruning_answer.curve(model)
with right:
    pruning_answer.left(model)
with lower_left:
    pruning_controls.pick_rival()
    pruning_answer.overlap(model)
with lower_right:
    pruning_answer.ranked(model)
with below:
    pruning_answer.smaller(model)
with last:
    pruning_answer.work(model)
with first:
    accuracy.metric(model, pruning_controls.spec)
with said:
    accuracy.sentence(model, pruning_controls.spec)
frame.say_rejected(link)
frame.close_page()
