"""Explore: two sliders, and what they do to a network. Streamlit's entry point."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui import accuracy, answer, controls, frame

frame.open_page("Explore")
link = frame.linked()
model = frame.pick_network()
st.subheader("How small can this network get, and what does it cost?", anchor=False)
side, main = st.columns([1, 3], gap="medium")  # widths in eighths of a pixel, see charts.py

with side:
    grey = controls.draw(model)

with main:
    metrics = st.columns(4)
    said, asked = st.columns([1.5, 1], vertical_alignment="center")
    top, bottom = st.columns(2), st.columns(2)
    with asked.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        controls.by_class()
        button = st.empty()

frame.say_rejected(link)
answer.fast(model, answer.Places(grey, *metrics[1:], top[0], *bottom))
answer.truth(model, accuracy.Places(metrics[0].empty(), said.empty(), button, top[1]))
frame.close_page()
