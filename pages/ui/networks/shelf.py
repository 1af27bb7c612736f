"""The picker of all networks, and the public networks that can be downloaded."""

import pandas as pd
import streamlit as st

from compression.networks import public
from pages.ui import wording
from pages.ui.compute import networks
from pages.ui.frame import fetch_bar
from pages.ui.state import session

GREY = "color: #999999"


def pick() -> str:
    """Shows all networks that this session can use; returns the picked one."""
    st.selectbox(
        "Network",
        labels := networks.labels(),
        format_func=labels.__getitem__,
        width=560,
        **session.bound("model", session.now().model),
    )
    return session.now().model


def public_networks() -> None:
    """Shows the public networks (grey if they cannot be reached) and a button that downloads one."""
    fetched = public.fetched_names()
    missing = [name for name in public.PUBLIC if name not in fetched]
    with st.expander(
        f"Public networks: {len(fetched)} downloaded, {len(missing)} not yet", icon=":material/cloud_download:"
    ):
        problem = networks.why_public_unreachable() if missing else None
        st.caption(
            "Trained by chenyaofo (pytorch-cifar-models, BSD 3-Clause). Only the weights are downloaded, once, into "
            "data/. Each file is checked against the beginning of its SHA-256, which is part of its name. The "
            "published accuracy is that of the best of 200 epochs, chosen by the test images themselves."
        )
        state = {name: "ready" if name in fetched else problem or "not downloaded" for name in public.PUBLIC}
        rows = pd.DataFrame(
            {
                "Network": list(state),
                "Published accuracy": [wording.percent(public.PUBLIC[name].accuracy, 2) for name in state],
                "State": list(state.values()),
            }
        )
        greyed = rows.style.apply(lambda row: [GREY if row["State"] == problem else ""] * len(row), axis=1)
        st.dataframe(greyed, hide_index=True, height=300, alt="Public networks with accuracy and state")
        if missing:
            unreachable = problem is not None
            with st.container(horizontal=True, vertical_alignment="bottom"):
                name = st.selectbox("Public network", missing, key="wanted", disabled=unreachable, width=320)
                clicked = st.button(
                    "Download", icon=":material/download:", key="fetch", disabled=unreachable, help=problem
                )
            if clicked and fetch_bar.run_with_bar(lambda progress: public.fetch_public(name, progress)):
                st.rerun()
