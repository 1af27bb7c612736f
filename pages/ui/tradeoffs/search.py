"""The search: a goal, what is tried for it, and what comes of it beside the best uniform spec."""

import re

import streamlit as st

from compression.errors import DataError
from compression.evaluation.subsets import Score
from compression.experiments.search.goal import Goal
from compression.experiments.search.outcome import Finalist, Outcome, outcome_in_words
from compression.experiments.search.reading import SearchReading
from compression.spec.title import title
from pages.ui import wording
from pages.ui.accuracy import missing_images
from pages.ui.charts import search, show
from pages.ui.compute import experiments, images
from pages.ui.settings import selection

DROP, BYTES = "a drop of accuracy", "a file size"
SEARCHING = "searching"
POLL_SECONDS = 1.0
WIDTH = 240
HALVES = """\
The search sees every other test image, and picks by these alone. The other half is looked at once, when the winner is
picked: on it nothing was tried, so that luck does not count."""


def draw(model: str) -> None:
    """All of it, or what to do about missing images."""
    dataset = images.test_images()
    if isinstance(dataset, DataError):
        missing_images.explain(dataset)
        return
    _watched(model, _goal())


def _goal() -> Goal:
    """What the reader asks for."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = st.segmented_control("Search within", [DROP, BYTES], default=DROP, required=True, key="search by")
        if by == DROP:
            points = st.number_input(
                "Points of accuracy to lose at most", 0.0, 20.0, 1.0, 0.25, key="search drop", width=WIDTH
            )
            return Goal(drop=points / 100)
        return Goal(
            file_bytes=1000 * int(st.number_input("kB at most", 1, 100_000, 100, 5, key="search bytes", width=WIDTH))
        )


def _going(model: str, goal: Goal) -> bool:
    return st.session_state.get(SEARCHING) == (model, goal)


def _watched(model: str, goal: Goal) -> None:
    """Progress, chart and outcome, drawn again while the search goes on."""
    going = _going(model, goal)

    @st.fragment(run_every=POLL_SECONDS if going else None)
    def watch() -> None:
        if _going(model, goal) != going:
            st.rerun()
        reading = experiments.search(model, goal, go=going)
        _progress(model, reading, going)
        figure = search.tried(reading, show.ink())
        show.chart(figure, "search front", "Accuracy of what was tried against the bytes of its file")
        if reading.outcome:
            _outcome(model, reading.outcome)
        if going and (reading.done or reading.error):
            st.session_state[SEARCHING] = None
            st.rerun()

    watch()


def _progress(model: str, reading: SearchReading, going: bool) -> None:
    """How far the search is, and a button that starts or stops it."""
    with st.container(horizontal=True, vertical_alignment="center", height=44, border=False):
        if reading.error:
            st.warning(f"The search stopped: {reading.error}.", icon=":material/error:")
        elif reading.done:
            st.caption(f"{len(reading.trials):,} specs tried, on up to 5,000 images.", help=HALVES)
        else:
            st.progress(min(reading.share, 1.0), _words(reading), width="stretch")
        if going and not reading.done:
            stop = {SEARCHING: None}
            st.button("Stop", key="search stop", icon=":material/stop:", on_click=lambda: st.session_state.update(stop))
        elif not reading.done:
            start = {SEARCHING: (model, reading.goal)}
            words = "Go on" if reading.share else "Go"
            icon = ":material/play_arrow:"
            st.button(words, key="search go", icon=icon, on_click=lambda: st.session_state.update(start))
    if reading.notice:
        st.caption(reading.notice)


def _words(reading: SearchReading) -> str:
    if not reading.share:
        return f"Finds {reading.goal.words}, with bits for each layer, on half of the test images"
    left = "" if reading.seconds_left is None else f", {wording.seconds_left(reading.seconds_left)}"
    return f"{wording.capital(reading.words)}{left}"


def _outcome(model: str, found: Outcome) -> None:
    """The winner beside the best uniform spec, on both halves, and what to do with it."""
    rows = [("Float", "", "", found.before_search, found.before_held_back)]
    rows += [_row(name, each) for name, each in (("Winner", found.winner), ("Uniform", found.uniform)) if each]
    st.table(
        {
            "": [row[0] for row in rows],
            "Spec": [row[1] for row in rows],
            "File": [row[2] for row in rows],
            "Search half": [_score(row[3]) for row in rows],
            "Held back": [_score(row[4]) for row in rows],
        },
        border="horizontal",
    )
    st.markdown(outcome_in_words(found))
    if found.winner:
        spec = found.winner.spec
        with st.container(horizontal=True, gap="small"):
            name, icon = f"{re.sub(r'[^A-Za-z0-9]+', '-', model)}-search.json", ":material/download:"
            st.download_button("Recipe", spec.to_json(), name, "application/json", key="search recipe", icon=icon)
            link = selection.as_link(spec)
            st.page_link("pages/layers.py", label="Open in Layers", icon=":material/layers:", query_params=link)


def _row(name: str, found: Finalist) -> tuple[str, str, str, Score, Score]:
    return name, title(found.spec), f"{found.file_bytes:,} bytes", found.search, found.held_back


def _score(found: Score) -> str:
    return f"{wording.percent(found.accuracy, 2)} ({wording.interval(*found.interval)})"
