"""The page Recover: how much accuracy comes back, without training and by training, and what each step costs."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.accuracy import panel
from pages.ui.compute import compressed
from pages.ui.frame import frame, look
from pages.ui.frame.metrics import size_metric, sparsity_metric
from pages.ui.recover import cliff, family, ladder, training
from pages.ui.settings import controls, own_layers, selection

frame.open_page("Recover")
model = frame.pick_network()
st.subheader("How much accuracy comes back, and what does it take?", anchor=False)
with st.container(key=look.PAGE):
    side, main = st.columns([1, 3], gap="medium")

with side:
    controls.settings(model)
    own_layers.draw()

with main:
    controls.stop_where_impossible(model)
    with st.container(key=look.ANSWER):
        accuracy_place, size_place, sparsity_place = st.columns(3)
    answer = compressed.answer(selection.spec(model))
    size_metric(size_place, answer)
    sparsity_metric(sparsity_place, answer)
    with accuracy_place:
        panel.metric(model)
    panel.sentence(model)
    ladder.draw(model)
    training.draw(model)
    cliff.draw(model)
    family.draw()
