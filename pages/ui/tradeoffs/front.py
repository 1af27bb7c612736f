"""The tab Front: every measured spec as a point, the best within the budgets, and details of a clicked point."""

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from compression.results.pareto import Point, most_accurate, smallest
from compression.spec import CompressionSpec, QuantSpec
from pages.ui import wording
from pages.ui.charts import show
from pages.ui.charts.tradeoffs.front import Limits, scatter, won_pairs
from pages.ui.charts.tradeoffs.marks import BEST, CHOSEN, SETTINGS, SMALLEST
from pages.ui.compute import compressed, experiments, networks
from pages.ui.frame import frame
from pages.ui.frame.warnings import show_notice
from pages.ui.settings import selection
from pages.ui.state import session
from pages.ui.tradeoffs import answers, budgets, opening, pins

POINTS = "points"  # the key of the chart
CLICKED = "clicked"
SHOWN_RANGE = 0.2  # of accuracy (0..1): how far below the most accurate point the axis begins
INT8 = QuantSpec(8)


class Best(NamedTuple):
    """The best points within the two budgets, or None where no point is within a budget."""

    smallest: Point | None
    most_accurate: Point | None


def draw(model: str, names: Sequence[str]) -> None:
    """Shows two budgets with their answers, the chart, and details of one point. `names`: the networks to show."""
    points = [point for name in names for point in experiments.known_results(name).points]
    points += experiments.recovered_points(names)
    if not points:
        explain_no_points(model)
        return
    left, right = st.columns(2, gap="medium")
    with left:
        drop = budgets.drop()
        smallest_here = st.empty()
    with right:
        most_bytes = budgets.most_bytes(names)
        best_here = st.empty()
    limits = budgets.limits(model, points, drop, most_bytes)
    best = Best(smallest(points, limits.least_accuracy), most_accurate(points, limits.most_bytes))
    several = len({networks.described(CompressionSpec(name))[0] for name in names}) > 1
    smallest_here.markdown(answers.smallest_in_words(best.smallest, drop, limits, model, several))
    best_here.markdown(answers.best_in_words(best.most_accurate, points, limits, several))
    chart(model, points, limits, best)


def show_notices(names: Sequence[str]) -> None:
    """Shows for which networks the committed results are not used, and why."""
    for name in names:
        show_notice(experiments.known_results(name).notice)


def explain_no_points(model: str) -> None:
    """Shows that nothing has been measured yet, and what to do."""
    st.info(f"Nothing has been measured for {model} yet. Measure some specs in the tab Sweep.", icon=":material/grain:")


def chart(model: str, points: Sequence[Point], limits: Limits, best: Best) -> None:
    """Shows the chart, and below it the details of the clicked point or of an answer."""
    clicked = _clicked(points)
    here = CompressionSpec(model) if _impossible(model) else selection.spec(model)
    rings = {
        SMALLEST: best.smallest,
        BEST: best.most_accurate,
        SETTINGS: next((point for point in points if point.spec == here), None),
        CHOSEN: clicked,
    }
    known = networks.descents()
    place = st.container()
    with st.container(horizontal=True, vertical_alignment="center"):
        whole = session.now().axis_from_zero
        st.toggle("Start the axis at 0 %", **session.bound("axis_from_zero", whole, frame.rerun_answer))
        st.caption(f"Larger marks have a higher sparsity. {answers.stands_on(points)}")
    floor = 0.0 if whole else _floor(points, limits)
    with place:
        show.chart(
            scatter(
                points,
                landmarks(points),
                {name: point for name, point in rings.items() if point},
                limits,
                floor,
                show.ink(),
                known,
            ),
            POINTS,
            "Accuracy against file size, one point per spec",
            on_select=_click,
            selection_mode="points",
        )
        if chosen := clicked or best.smallest or best.most_accurate:
            why = "The point that you clicked" if clicked else "The answer; click a point for its details"
            before = next((before for before, after in won_pairs(points, known) if after is chosen), None)
            details(chosen, why, before)


def picture(names: Sequence[str]) -> None:
    """Shows all points of the networks; shows nothing if there are none."""
    points = [point for name in names for point in experiments.known_results(name).points]
    if points:
        figure = scatter(points, landmarks(points), {}, None, 0.0, show.ink())
        show.chart(figure, "all points", "Accuracy against file size, one point per spec")


def _impossible(model: str) -> bool:
    return bool(compressed.problem(selection.spec(model)))


def _floor(points: Sequence[Point], limits: Limits) -> float:
    """Returns the lowest accuracy on the axis."""
    return max(0.0, min(max(point.accuracy for point in points) - SHOWN_RANGE, limits.least_accuracy - 0.02))


def _clicked(points: Sequence[Point]) -> Point | None:
    """Returns the point that the reader has clicked."""
    name = st.session_state.get(CLICKED)
    return next((point for point in points if point.name == name), None)


def _click() -> None:
    """Stores the selection in the session, because a redrawn chart forgets it. Published results have no details."""
    for each in st.session_state[POINTS].selection.points:
        if name := each.get("customdata"):
            st.session_state[CLICKED] = name[0]


def landmarks(points: Sequence[Point]) -> dict[str, Point]:
    """Returns the float network and its uniform 8-bit network, if they are measured, by label."""
    known = networks.descents()
    names = list(dict.fromkeys(point.spec.model for point in points if point.spec.model not in known))
    landmarks: dict[str, Point] = {}
    for name in names:
        own = [point for point in points if point.spec.model == name]
        prefix = f"{name} " if len(names) > 1 else ""
        for label, spec in (("float", CompressionSpec(name)), ("int8", CompressionSpec(name, weights=INT8))):
            landmarks |= {f"{prefix}{label}": point for point in own if point.spec == spec}
    return landmarks


def details(point: Point, why: str, before: Point | None) -> None:
    """Shows the numbers of a point, and buttons to open and to pin it. `before`: the same without its recovery."""
    pinned = pins.names()
    won = f"; {wording.points(point.accuracy - before.accuracy)} by recovery" if before else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"**{', '.join(networks.described(point.spec))}**: {wording.percent(point.accuracy, 2)} "
            f"({wording.interval(*point.interval)}), {point.file_bytes:,} bytes{won}",
            help=f"{why}. Measured on all {point.total:,} test images, "
            f"{'beforehand' if point.precomputed else 'on this machine'}, with the 95 % confidence interval.",
            width="content",
        )
        opening.link_to(point.spec)
        if point.name in pinned:
            st.button("Unpin", key="unpin", icon=":material/keep_off:", on_click=pins.unpin, args=(point.name,))
        else:
            st.button(
                "Pin",
                key="pin",
                icon=":material/keep:",
                on_click=pins.pin,
                args=(point.name,),
                disabled=len(pinned) >= pins.MOST,
                help=f"Pinned specs appear in the tab Compare. {len(pinned)} of {pins.MOST} are pinned.",
            )
