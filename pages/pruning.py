"""Pruning: what goes, by which score, and what that costs."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.accuracy import panel
from pages.ui.frame import frame
from pages.ui.pruning import answer, controls, specs

frame.open_page("Pruning")
link = frame.opening_link()
model = frame.pick_network()
st.subheader("What goes, and what does it cost?", anchor=False)
side, main = st.columns([1, 3], gap="medium")  # widths in eighths of a pixel, see charts/style.py

with side:
    controls.draw(model)

with main:
    problem = answer.problem(model)
    if problem:
        st.info(problem, icon=":material/image_search:")
        st.stop()
    first, others, last = st.columns([1, 2, 1])
    said = st.container()
    left, right = st.columns(2)
    with left:
        above = st.container()
        controls.sliders(model)
    lower_left, lower_right = st.columns(2)
    below = st.container()

with others:
    answer.metrics(model)
with above:
    answer.curve(model)
with right:
    answer.left(model)
with lower_left:
    controls.pick_alternative()
    answer.overlap(model)
with lower_right:
    answer.ranked(model)
with below:
    answer.smaller(model)
with last:
    answer.work(model)
with first:
    panel.metric(model, specs.spec)
with said:
    panel.sentence(model, specs.spec)
frame.report_rejected(link)
frame.close_page()
