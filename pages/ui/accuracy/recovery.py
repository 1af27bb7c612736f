"""Shows how far the recovery of a network is, and draws the page anew when it is there."""

import streamlit as st

from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.compute import recovery

POLL_SECONDS = 0.5


def show(spec: CompressionSpec) -> None:
    """Shows the progress by layers until the network of `spec` is there; nothing if it does not take long."""
    reading = recovery.look(spec)
    if reading is None or reading.is_final:
        return

    @st.fragment(run_every=POLL_SECONDS)
    def again() -> None:
        reading = recovery.look(spec)
        if reading is None or reading.is_final:
            st.rerun()
        done = (
            f"layer {reading.layers} of {reading.total}"
            if reading.total
            else "waiting for its turn and for the training images"
        )
        left = "" if reading.seconds_left is None else f", {wording.seconds_left(reading.seconds_left)}"
        words = f"Recovering accuracy: {done}{left}. Until then, sizes and weights are those without recovery."
        st.progress(reading.layers / (reading.total or 1), words)

    again()
