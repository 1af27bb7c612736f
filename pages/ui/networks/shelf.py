"""The picker of all networks, and the public ones that can be fetched."""

import pandas as pd
import streamlit as st

from compression.networks import public
from pages.ui import wording
from pages.ui.compute import networks
from pages.ui.frame import fetch_bar, frame

GREY = "color: #999999"


def pick() -> str:
    """All networks that this session can use, side by side."""
    names = networks.names()
    return frame.pick_from(
        names,
        lambda: st.pills(
            "Network",
            names,
            default=frame.START,
            required=True,
            key="model",
            bind="query-params",
            label_visibility="collapsed",
        ),
    )


def public_networks() -> None:
    """The public networks, those greyed out that cannot be reached, and a button that fetches one."""
    fetched = public.fetched_names()
    missing = [name for name in public.PUBLIC if name not in fetched]
    with st.expander(f"Public networks: {len(fetched)} fetched, {len(missing)} not", icon=":material/cloud_download:"):
        problem = networks.why_public_unreachable() if missing else None
        st.caption(
            "Trained by chenyaofo (pytorch-cifar-models, BSD 3-Clause). Only weights are fetched, once, into data/, "
            "for architectures of our own, and each file is checked against the beginning of its SHA-256 in its name. "
            "The published accuracy is that of the best of 200 epochs as judged by the test images themselves."
        )
        state = {name: "ready" if name in fetched else problem or "can be fetched" for name in public.PUBLIC}
        rows = pd.DataFrame(
            {
                "Network": list(state),
                "Accuracy as published": [wording.percent(public.PUBLIC[name].accuracy, 2) for name in state],
                "State": list(state.values()),
            }
        )
        greyed = rows.style.apply(lambda row: [GREY if row["State"] == problem else ""] * len(row), axis=1)
        st.dataframe(greyed, hide_index=True, height=300, alt="Public networks with accuracy and state")
        if missing:
            off = problem is not None
            with st.container(horizontal=True, vertical_alignment="bottom"):
                name = st.selectbox("Fetch", missing, key="wanted", disabled=off, width=320)
                wants = st.button("Fetch", icon=":material/download:", key="fetch", disabled=off, help=problem)
            if wants and fetch_bar.run_with_bar(lambda progress: public.fetch_public(name, progress)):
                st.rerun()
