"""The page Bring your own: a checkpoint is uploaded, recognised and evaluated, and then a network like the others."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.checkpoint import shelf, upload
from pages.ui.frame import frame

frame.open_page("Bring your own")
st.subheader("How much accuracy does your own network lose?", anchor=False)
side, main = st.columns([1, 1.6], gap="large")
with side:
    file, stated = upload.ask()
with main:
    upload.answer(file, stated)
shelf.draw()
frame.show_data_status()
