"""The page Inside: which images a compressed network loses, and why."""

from functools import partial

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.accuracy import panel
from pages.ui.frame import frame, look
from pages.ui.inside import bit_flips, classes, confidence, corruptions, image, layers, metrics
from pages.ui.inside.flips import section as flips
from pages.ui.settings import controls, own_layers
from pages.ui.state import session
from pages.ui.state.link import SECTIONS

DRAWS = {
    "Flips": flips.draw,
    "Classes": classes.draw,
    "Confidence": confidence.draw,
    "Image": image.draw,
    "Layers": layers.draw,
    "Corruptions": corruptions.draw,
    "Bit flips": bit_flips.draw,
}

FRAGMENTS = (frame.CURRENT, frame.METRICS, frame.SECTION, frame.IMPLIED, frame.ACCURACY, frame.SENTENCE, frame.LINKS)


@st.fragment(key=frame.SECTION)
def draw_section(model: str) -> None:
    """Draws the section that is selected. Its own widgets run the page again, with their `after`."""
    DRAWS[session.now().section](model)


frame.open_page("Inside")
model = frame.pick_network()
st.subheader("Which images does the compressed network lose, and why?", anchor=False)
with st.container(key=look.PAGE):
    side, main = st.columns([1, 3], gap="medium")

with side:
    controls.settings(model)
    own_layers.draw()

with main:
    controls.stop_where_impossible(model)
    with st.container(key=look.ANSWER):
        accuracy_place, metrics_place = st.columns([1, 3])
    sentence_place = st.container()
    st.segmented_control(
        "Section",
        SECTIONS,
        required=True,
        label_visibility="collapsed",
        **session.bound("section", session.now().section),
    )
    section_place = st.container()

with metrics_place:
    metrics.draw(model)
with section_place:
    draw_section(model)
with accuracy_place:
    panel.metric(model)
with sentence_place:
    panel.sentence(model)
frame.close_page(partial(panel.fragment_order, model, FRAGMENTS))
