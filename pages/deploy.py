"""The page Deploy: the network as files for other runtimes, each verified, and timed on this machine."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.accuracy import panel
from pages.ui.deploy import answer, files, packed_file, run
from pages.ui.frame import frame, look
from pages.ui.settings import controls, own_layers

frame.open_page("Deploy")
model = frame.pick_network()
st.subheader("Is it faster where it runs, and are its predictions the same?", anchor=False)
with st.container(key=look.PAGE):
    side, main = st.columns([1, 3], gap="medium")

with side:
    controls.settings(model)
    own_layers.draw()
    run.pick_threads()

with main:
    controls.stop_where_impossible(model)
    with st.container(key=look.ANSWER):
        first, others = st.columns([1, 3])
    said = st.container()
    below = st.container()

with others:
    answer.metrics(model)
with first:
    panel.metric(model)
with said:
    panel.sentence(model)
with below:
    packed_file.draw(model)
    run.pick_fewer_filters(model)
    run.draw(model)
    answer.draw(model)
    files.draw(model)
