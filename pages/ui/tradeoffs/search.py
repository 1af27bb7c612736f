"""The search: a goal, what is tried for it, and what comes of it beside the best uniform spec."""

import re
from functools import partial

import streamlit as st

from compression.engine.jobs import JobKind, Place
from compression.errors import DataError
from compression.evaluation.subsets import Score
from compression.experiments.search.goal import Goal
from compression.experiments.search.outcome import Finalist, Outcome, outcome_in_words
from compression.experiments.search.reading import SearchReading
from compression.spec.title import title
from pages.ui import wording
from pages.ui.accuracy import missing_images
from pages.ui.charts import show
from pages.ui.charts.tradeoffs import search
from pages.ui.compute import experiments, images
from pages.ui.frame import frame
from pages.ui.frame.start_stop import start_or_stop, watch
from pages.ui.frame.warnings import show_notice, without_folders
from pages.ui.state import session
from pages.ui.state.value import DROP, FILE_SIZE
from pages.ui.tradeoffs import opening

SEARCHING = "searching"
WIDTH = 240
HALVES = """\
The search sees every second test image, the search half, and picks the winner by these images alone. The held-out half
is used once, after the winner is picked. Nothing was tried on it, so the winner cannot be lucky there."""


def draw(model: str) -> None:
    """Shows the goal, the progress and the outcome, or what to do about missing images."""
    dataset = images.test_images()
    if isinstance(dataset, DataError):
        missing_images.explain(dataset)
        return
    _show_live(model, _pick_goal())


def _pick_goal() -> Goal:
    """Shows the widgets of the goal; returns it."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        now, after = session.now(), frame.rerun_answer
        st.segmented_control(
            "Search within", [DROP, FILE_SIZE], required=True, **session.bound("goal", now.goal, after)
        )
        if now.goal == DROP:
            view = session.bound("goal_drop", now.goal_drop, after)
            st.number_input("Largest accuracy drop (percentage points)", 0.0, 20.0, step=0.25, width=WIDTH, **view)
            return Goal(drop=now.goal_drop / 100)
        view = session.bound("goal_kilobytes", now.goal_kilobytes, after)
        st.number_input("Largest file size (kB)", 1, 100_000, step=5, width=WIDTH, **view)
        return Goal(file_bytes=1000 * now.goal_kilobytes)


def _show_live(model: str, goal: Goal) -> None:
    """Shows progress, chart and outcome, and updates them while the search is running."""

    def draw_search(reading: SearchReading, running: bool, place: Place) -> None:
        _progress(model, reading, running, place)
        if reading.trials or reading.uniform:
            figure = search.tried(reading, show.ink())
            show.chart(figure, "search front", "Accuracy of the tried specs against their file size")
        if reading.outcome:
            _outcome(model, reading.outcome)

    watch(JobKind.SEARCH, SEARCHING, (model, goal), partial(experiments.search, model, goal), draw_search)


def _progress(model: str, reading: SearchReading, running: bool, place: Place) -> None:
    """Shows the progress of the search, and a button that starts or stops it."""
    with st.container(horizontal=True, vertical_alignment="center", height=44, border=False):
        if reading.error:
            st.warning(f"The search stopped: {without_folders(reading.error)}.", icon=":material/error:")
        elif reading.done:
            st.caption(f"{len(reading.trials):,} specs were tried, on up to 5,000 images each.", help=HALVES)
        else:
            st.progress(min(reading.share, 1.0), _progress_in_words(reading, place), width="stretch")
        if not reading.done:
            label = "Continue" if reading.share else "Search"
            start_or_stop("search", SEARCHING, (model, reading.goal), running, label)
    show_notice(reading.notice)


def _progress_in_words(reading: SearchReading, place: Place) -> str:
    if not reading.share and place.runs:
        return f"Searches for {reading.goal.words}, with bits for each layer, on half of the test images"
    return f"{wording.capital(reading.words)}{wording.outlook(reading.seconds_left, place)}"


def _outcome(model: str, outcome: Outcome) -> None:
    """Shows the winner beside the best uniform spec, on both halves, and buttons for the winner."""
    rows = [("Float", "", "", outcome.before_search, outcome.before_held_back)]
    rows += [_row(name, each) for name, each in (("Winner", outcome.winner), ("Uniform", outcome.uniform)) if each]
    st.table(
        {
            "": [row[0] for row in rows],
            "Spec": [row[1] for row in rows],
            "File": [row[2] for row in rows],
            "Search half": [_score(row[3]) for row in rows],
            "Held-out half": [_score(row[4]) for row in rows],
        },
        border="horizontal",
    )
    st.markdown(outcome_in_words(outcome))
    if outcome.winner:
        spec = outcome.winner.spec
        with st.container(horizontal=True, gap="small"):
            name, icon = f"{re.sub(r'[^A-Za-z0-9]+', '-', model)}-search.json", ":material/download:"
            st.download_button("Recipe", spec.to_json(), name, "application/json", key="search recipe", icon=icon)
            opening.link_to(spec)


def _row(name: str, finalist: Finalist) -> tuple[str, str, str, Score, Score]:
    return name, title(finalist.spec), f"{finalist.file_bytes:,} bytes", finalist.search, finalist.held_back


def _score(score: Score) -> str:
    return f"{wording.percent(score.accuracy, 2)} ({wording.interval(*score.interval)})"
