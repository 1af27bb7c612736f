"""The page Trade-offs: which compressed network is the best within a budget of accuracy or bytes."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.compute import networks
from pages.ui.frame import frame
from pages.ui.settings import controls, own_layers
from pages.ui.state import session
from pages.ui.state.link import VIEWS
from pages.ui.tradeoffs import compare, equal_bytes, front, grid, search, sweep

frame.open_page("Trade-offs")
model = frame.pick_network()
with st.sidebar:
    also = [name for name in session.now().also if name in networks.names()]
    labels = networks.labels()
    st.multiselect("Also show", labels, format_func=labels.__getitem__, **session.bound("also", also))
    with st.expander("Your settings", icon=":material/tune:"):
        controls.settings(model)
        own_layers.draw()
names = list(dict.fromkeys([model, *also]))
st.subheader("Which compressed network is the best within your budget?", anchor=False)
front.show_notices(names)
sweep.progress()
draws = (
    lambda: front.draw(model, names),
    lambda: grid.draw(model),
    lambda: equal_bytes.draw(model),
    compare.draw,
    lambda: search.draw(model),
    lambda: sweep.draw(model, names),
)
tabs = st.tabs(VIEWS, **session.bound("view", session.now().view))
for tab, draw in zip(tabs, draws, strict=True):
    with tab:
        if tab.open:
            sweep.live(draw, frame.CHART)
frame.close_page(lambda: (frame.IMPLIED, frame.CHART, frame.LINKS))
