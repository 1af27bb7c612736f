"""Trade-offs: which compressed network is the best for a budget, on one picture."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui import compute
from pages.ui.frame import frame
from pages.ui.settings import controls
from pages.ui.tradeoffs import compare as tradeoffs_compare
from pages.ui.tradeoffs import duel as tradeoffs_duel
from pages.ui.tradeoffs import front as tradeoffs_front
from pages.ui.tradeoffs import grid as tradeoffs_grid
from pages.ui.tradeoffs import pins as tradeoffs_pins
from pages.ui.tradeoffs import search as search_panel
from pages.ui.tradeoffs import sweep as tradeoffs_sweep

frame.open_page("Trade-offs")
link = frame.linked()
arriving = frame.is_arriving()
model = frame.pick_network()
tradeoffs_pins.settle(arriving)
with st.sidebar:
    also = st.multiselect("Also show", compute.networks(), key="also", bind="query-params", persist_state="session")
    with st.expander("Your settings", icon=":material/tune:"):
        controls.settings(model)
names = list(dict.fromkeys([model, *also]))
st.subheader("Which one is the best for your budget?", anchor=False)
tradeoffs_sweep.progress()
views = {
    "Front": lambda: tradeoffs_front.draw(model, names),
    "Bits by sparsity": lambda: tradeoffs_grid.draw(model),
    "Equal bytes": lambda: tradeoffs_duel.draw(model),
    "Compare": tradeoffs_compare.draw,
    "Search": lambda: search_panel.draw(model),
    "Sweep": lambda: tradeoffs_sweep.draw(model, names),
}
for tab, draw in zip(st.tabs(list(views), key="view", bind="query-params"), views.values(), strict=True):
    with tab:
        if tab.open:
            tradeoffs_sweep.live(draw, frame.CHART)
frame.say_rejected(link)
frame.close_page(lambda: (frame.GREY, frame.CHART, frame.LINKS))
