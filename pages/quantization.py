"""The page Quantization: two quantizers side by side, with the same weights and the same bits."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.frame import frame, look
from pages.ui.quantization import accuracy, answer, controls, integers
from pages.ui.quantization.controls import Side

frame.open_page("Quantization")
model = frame.pick_network()
st.subheader("Which quantizer is better, and why?", anchor=False)
shared_place = st.container()
with st.container(key=look.PAGE):
    sides = dict(zip(Side, st.columns(2, gap="medium"), strict=True))
comparison_place = st.container()
controls.notes(model)
pictures = dict(zip(Side, st.columns(2, gap="medium"), strict=True))

numbers, others = {}, {}
for side, place in sides.items():
    with place:
        controls.pick(side)
        with st.container(key=f"{look.ANSWER}-{side}"):
            numbers[side], others[side] = st.columns([1, 2])
with shared_place:
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
        answer.explanations(side)
st.subheader("The integers of one filter", anchor=False)
for side, place in zip(Side, st.columns(2, gap="medium"), strict=True):
    with place:
        integers.draw(model, side)
for side, place in numbers.items():
    with place:
        accuracy.metric(model, side)
with comparison_place:
    accuracy.comparison(model)
frame.close_page()
