"""Networks: which ones there are, what they are made of, and why one scale does not fit all their channels."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui import card, frame, shelf

frame.open_page("Networks")
link = frame.linked()
st.subheader("Which network, and what is it made of?", anchor=False)
name = shelf.pick()
card.facts(name)
left, right = st.columns([1.15, 1], gap="medium")
with left:
    card.layers(name)
with right:
    card.channels(name)
frame.data_status()
frame.say_rejected(link)
shelf.public_networks()
