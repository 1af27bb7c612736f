"""A search from the page: a goal, go and stop, what is tried, and what came of it."""

from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from compression.cifar10 import DataError
from compression.outcome import Report, SearchReading, verdict
from compression.search import Goal
from compression.searching import TRIALS
from compression.titles import title
from pages.ui import accuracy, charts_search, compute, format, layers_recipe, show

SEARCHING = "searching"  # the network and the goal of the search that goes on, or None
POLL_SECONDS = 1.0
SMALLEST, BEST = "the smallest file", "the most accurate"
WORDS = """\
Bits are chosen for each layer, and one sparsity for all, by NSGA-II; it begins with what trying each layer alone
suggests. Whoever chooses by the test images fits them: so the search sees one half of them, and what it found is
reported on the other half, which nothing was chosen by. The best network with the same setting for all layers is
chosen in the same way, and has to be beaten."""


def draw(model: str) -> None:
    """The goal, the button, and below them the search as far as it is."""
    images = compute.test_images()
    if isinstance(images, DataError):
        accuracy.what_to_do(images)
        return
    goal = _goal()
    going = st.session_state.get(SEARCHING) == (model, goal)

    @st.fragment(run_every=POLL_SECONDS if going else None)
    def watch() -> None:
        now = st.session_state.get(SEARCHING) == (model, goal)
        reading = compute.search(model, goal, TRIALS, go=now)
        if now and (reading.done or reading.error):
            st.session_state[SEARCHING] = None
        if now != going or (now and reading.done):
            st.rerun()
        _draw(model, goal, reading, now)

    watch()


def _goal() -> Goal:
    kept = {"persist_state": "session"}
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        wanted = st.segmented_control(
            "Find", [SMALLEST, BEST], default=SMALLEST, required=True, key="search for", **kept
        )
    with right:
        if wanted == SMALLEST:
            points = st.number_input("that loses at most, in points", 0.0, 50.0, 1.0, 0.1, key="search drop", **kept)
            return Goal(drop=round(points / 100, 6))
        return Goal(
            nbytes=st.number_input(
                "of at most so many bytes", 1_000, value=100_000, step=1_000, key="search bytes", **kept
            )
        )


def _draw(model: str, goal: Goal, reading: SearchReading, going: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        _button(model, goal, reading, going)
        if going:
            left = "" if reading.seconds_left is None else f", {format.seconds_left(reading.seconds_left)}"
            st.progress(reading.share, f"{format.capital(reading.phase or 'beginning')}{left}")
    if reading.error:
        st.warning(f"The search stopped: {reading.error}.", icon=":material/error:")
    if reading.tried or reading.uniform:
        show.chart(
            charts_search.search(reading, show.ink()), "search", "Bytes against points lost, of all that was tried"
        )
    if reading.done:
        _report(reading)
    st.caption(WORDS)


def _button(model: str, goal: Goal, reading: SearchReading, going: bool) -> None:
    if going:
        st.button("Stop", key="search stop", icon=":material/stop:", on_click=_set, args=(model, goal, False))
    elif not reading.done:
        words = "Go on" if reading.tried else "Search"
        st.button(
            words, key="search go", type="primary", icon=":material/search:", on_click=_set, args=(model, goal, True)
        )


def _set(model: str, goal: Goal, go: bool) -> None:
    st.session_state[SEARCHING] = (model, goal) if go else None
    compute.search(model, goal, TRIALS, go)


def _report(reading: SearchReading) -> None:
    st.markdown(f"**{verdict(reading)}**")
    reports = {"Found": reading.winner, "Best uniform": reading.rival}
    rows = [_row(name, report) for name, report in reports.items() if report]
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="What was found beside the best uniform network")
    if reading.winner:
        spec = reading.winner.tried.spec
        with st.container(horizontal=True):
            st.download_button(
                "Recipe",
                spec.to_json(),
                f"{spec.model}-searched.json",
                "application/json",
                icon=":material/download:",
                on_click="ignore",
            )
            st.link_button(
                "Open in Layers", f"layers?{urlencode(layers_recipe.as_link(spec))}", icon=":material/layers:"
            )


def _row(name: str, report: Report) -> dict[str, str]:
    searched, held_back = report.search, report.held_back
    return {
        "": name,
        "What": title(report.tried.spec),
        "File": f"{report.tried.file:,} bytes",
        "Search half": format.percent(searched.accuracy, 2),
        "Held back": f"{format.percent(held_back.accuracy, 2)} ({format.interval(*held_back.interval)})",
        "Change there": format.points(-held_back.drop),
        "All": format.percent(report.whole.accuracy, 2),
    }
