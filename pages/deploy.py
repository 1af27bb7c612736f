"""Deploy: the network as files that others run, each checked, and how fast they are on this machine."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.accuracy import panel as accuracy
from pages.ui.deploy import answer as deploy_answer
from pages.ui.deploy import bytes as deploy_bytes
from pages.ui.deploy import files as deploy_files
from pages.ui.deploy import run as deploy_run
from pages.ui.explore import answer
from pages.ui.frame import frame
from pages.ui.settings import controls

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
