"""A download with a progress bar."""

from collections.abc import Callable

import streamlit as st

from compression.data.fetching import Progress
from compression.errors import DataError
from pages.ui import wording


def run_with_bar(fetch: Callable[[Progress], object]) -> bool:
    """Calls `fetch` with a progress bar; returns whether it succeeded. A DataError is shown as a sentence."""
    bar = st.progress(0.0, "Connecting")

    def show(done: int, total: int) -> None:
        bar.progress(done / total, f"{wording.size(done)} of {wording.size(total)}")

    try:
        fetch(show)
    except DataError as error:
        bar.empty()
        st.error(f"{error}.", icon=":material/cloud_off:")
        return False
    return True
