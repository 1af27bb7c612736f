"""Deploy: the network as files that others run, each checked, and how fast they are on this machine."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui import accuracy, answer, controls, deploy_answer, deploy_bytes, deploy_files, deploy_run, frame

frame.open_page("Deploy")
link = frame.linked()
model = frame.pick_network()
st.subheader("Is it faster where it runs, and does it still say the same?", anchor=False)
side, main = st.columns([1, 3], gap="medium")

with side:
    controls.settings(model)
    deploy_run.pick_threads()

with main:
    answer.stop_where_impossible(model)
    first, others = st.columns([1, 3])
    said = st.container()
    below = st.container()

with others:
    deploy_answer.metrics(model)
with first:
    accuracy.metric(model)
with said:
    accuracy.sentence(model)
with below:
    deploy_bytes.draw(model)
    deploy_run.draw(model)
    deploy_answer.draw(model)
    deploy_files.draw(model)
frame.say_rejected(link)
