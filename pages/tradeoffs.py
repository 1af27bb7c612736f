"""The page Trade-offs: which compressed network is the best within a budget of accuracy or bytes."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui.compute import networks
from pages.ui.frame import frame
from pages.ui.settings import controls
from pages.ui.tradeoffs import compare, equal_bytes, front, grid, pins, search, sweep

frame.open_page("Trade-offs")
link = frame.opening_link()
arriving = frame.is_arriving()
model = frame.pick_network()
pins.settle(arriving)
with st.sidebar:
    also = st.multiselect("Also show", networks.names(), key="also", bind="query-params", persist_state="session")
    with st.expander("Your settings", icon=":material/tune:"):
        controls.settings(model)
names = list(dict.fromkeys([model, *also]))
st.subheader("Which compressed network is the best within your budget?", anchor=False)
front.show_notices(names)
sweep.progress()
views = {
    "Front": lambda: front.draw(model, names),
    "Bits by sparsity": lambda: grid.draw(model),
    "Equal bytes": lambda: equal_bytes.draw(model),
    "Compare": compare.draw,
    "Search": lambda: search.draw(model),
    "Sweep": lambda: sweep.draw(model, names),
}
for tab, draw in zip(st.tabs(list(views), key="view", bind="query-params"), views.values(), strict=True):
    with tab:
        if tab.open:
            sweep.live(draw, frame.CHART)
frame.report_rejected(link)
frame.close_page(lambda: (frame.IMPLIED, frame.CHART, frame.LINKS))
