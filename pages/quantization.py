"""Quantization: the same weights on the same bits in two ways, side by side. Which quantizer, and why?"""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.frame import frame
from pages.ui.quantization import accuracy, answer, controls, integers
from pages.ui.quantization.controls import Side

frame.open_page("Quantization")
link = frame.opening_link()
model = frame.pick_network()
st.subheader("Which quantizer, and why?", anchor=False)
above = st.container()
sides = dict(zip(Side, st.columns(2, gap="medium"), strict=True))
between = st.container()
pictures = dict(zip(Side, st.columns(2, gap="medium"), strict=True))

numbers, others = {}, {}
for side, place in sides.items():
    with place:
        controls.pick(side)
        numbers[side], others[side] = st.columns([1, 2])
with above:
    controls.shared(model)
for side, place in others.items():
    with place:
        answer.facts(model, side)
for side, place in pictures.items():
    with place:
        answer.pictures(model, side)
answer.layers(model)
for side, place in zip(Side, st.columns(2, gap="medium"), strict=True):
    with place:
        answer.words(side)
st.subheader("The integers of one filter", anchor=False)
for side, place in zip(Side, st.columns(2, gap="medium"), strict=True):
    with place:
        integers.draw(model, side)
for side, place in numbers.items():
    with place:
        accuracy.metric(model, side)
with between:
    accuracy.verdict(model)
frame.report_rejected(link)
frame.close_page()
