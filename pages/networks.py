"""The page Networks: every network, its layers, and why one scale does not fit all of its channels."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.frame import frame
from pages.ui.networks import card, shelf

frame.open_page("Networks")
st.subheader("Which network, and what is it made of?", anchor=False)
name = shelf.pick()
facts = st.container()
left, right = st.columns([1.15, 1], gap="medium")
with right:
    fold = card.folding(name)
    card.channels(name, fold)
with left:
    card.layers(name, fold)
with facts:
    card.facts(name, fold)
frame.show_data_status()
shelf.public_networks()
