"""Accuracy against bytes: every spec a point, what is best within the budgets, and the one that was clicked."""

from collections.abc import Sequence
from urllib.parse import urlencode

import streamlit as st

from compression.results.pareto import Point, most_accurate, smallest
from compression.spec import CompressionSpec, QuantSpec
from compression.spec.title import full_title, title
from pages.ui import wording
from pages.ui.charts import show, tradeoffs
from pages.ui.charts.tradeoffs import BEST, CHOSEN, SETTINGS, SMALLEST, Limits
from pages.ui.compute import compressed, experiments
from pages.ui.settings import selection
from pages.ui.tradeoffs import budgets, pins

POINTS = "points"  # the key of the chart
CLICKED = "clicked"
SHOWN = 0.2  # of accuracy, below the most accurate
INT8 = QuantSpec(8)


def draw(model: str, names: Sequence[str]) -> None:
    """Budgets, answers, chart, and a row on the point that was clicked. `names`: all networks that are shown."""
    points = [point for name in names for point in experiments.known_results(name).points]
    if not points:
        nothing(model)
        return
    left, right = st.columns(2, gap="medium")
    with left:
        drop = budgets.drop()
        smallest_here = st.empty()
    with right:
        most_bytes = budgets.most_bytes(model)
        best_here = st.empty()
    limits = budgets.limits(model, points, drop, most_bytes)
    found = smallest(points, limits.least_accuracy), most_accurate(points, limits.most_bytes)
    several = len(names) > 1
    smallest_here.markdown(smallest_in_words(found[0], drop, limits, model, several))
    best_here.markdown(best_in_words(found[1], points, limits, several))
    chart(model, points, limits, found)


def show_notices(names: Sequence[str]) -> None:
    """Says of which networks the committed results are not used, and why."""
    for name in names:
        if notice := experiments.known_results(name).notice:
            st.caption(f":material/info: {notice}")


def nothing(model: str) -> None:
    """Says that nothing was measured yet."""
    st.info(
        f"Nothing of {model} has been measured yet. A sweep measures it: see the tab Sweep.", icon=":material/grain:"
    )


def chart(model: str, points: Sequence[Point], limits: Limits, found: tuple[Point | None, Point | None]) -> None:
    """The chart, and below it the row."""
    clicked = _clicked(points)
    here = CompressionSpec(model) if _impossible(model) else selection.spec(model)
    rings = {
        SMALLEST: found[0],
        BEST: found[1],
        SETTINGS: next((point for point in points if point.spec == here), None),
        CHOSEN: clicked,
    }
    place = st.container()
    with st.container(horizontal=True, vertical_alignment="center"):
        whole = st.toggle("Down to 0 %", key="whole range", persist_state="session")
        st.caption(f"The larger a mark, the sparser. {stands_on(points)}")
    floor = 0.0 if whole else _floor(points, limits)
    with place:
        show.chart(
            tradeoffs.scatter(
                points,
                landmarks(points),
                {name: point for name, point in rings.items() if point},
                limits,
                floor,
                show.ink(),
            ),
            POINTS,
            "Accuracy against bytes of the file, a point a spec",
            on_select=_click,
            selection_mode="points",
        )
        if chosen := clicked or found[0] or found[1]:
            row(chosen, "Clicked" if clicked else "The answer; click a point to look at another")


def picture(names: Sequence[str]) -> None:
    """All points and nothing else; nothing where there are none."""
    points = [point for name in names for point in experiments.known_results(name).points]
    if points:
        figure = tradeoffs.scatter(points, landmarks(points), {}, None, 0.0, show.ink())
        show.chart(figure, "all points", "Accuracy against bytes of the file, a point a spec")


def _impossible(model: str) -> bool:
    return bool(compressed.problem(selection.spec(model)))


def _floor(points: Sequence[Point], limits: Limits) -> float:
    """The lowest accuracy that is shown."""
    return max(0.0, min(max(point.accuracy for point in points) - SHOWN, limits.least_accuracy - 0.02))


def _clicked(points: Sequence[Point]) -> Point | None:
    """What the reader has clicked on."""
    named = st.session_state.get(CLICKED)
    return next((point for point in points if point.name == named), None)


def _click() -> None:
    """Keeps what is selected: a chart that is drawn anew forgets it."""
    for each in st.session_state[POINTS].selection.points:
        st.session_state[CLICKED] = each["customdata"][0]


def landmarks(points: Sequence[Point]) -> dict[str, Point]:
    """The float network and the uniform 8 bits of each network, where they are measured."""
    networks = list(dict.fromkeys(point.spec.model for point in points))
    found: dict[str, Point] = {}
    for name in networks:
        own = [point for point in points if point.spec.model == name]
        whose = f"{name} " if len(networks) > 1 else ""
        for label, spec in (("float", CompressionSpec(name)), ("int8", CompressionSpec(name, weights=INT8))):
            found |= {f"{whose}{label}": point for point in own if point.spec == spec}
    return found


def stands_on(points: Sequence[Point]) -> str:
    """ "110 specs, each measured on all 10,000 test images: 98 beforehand, 12 on this machine."."""
    beforehand = sum(point.precomputed for point in points)
    parts = [f"{beforehand:,} beforehand"] if beforehand else []
    parts += [f"{len(points) - beforehand:,} on this machine"] if beforehand < len(points) else []
    return (
        f"{len(points):,} specs, each measured on all {points[0].total:,} test images: {', '.join(parts)}. "
        "The best of many on the same images is flattered a little by chance."
    )


def smallest_in_words(point: Point | None, drop: float, limits: Limits, model: str, several: bool) -> str:
    """The answer to the first budget."""
    whose = f"{model} as float" if several else "float"
    within = f"within {100 * drop:g} point{'s' * (drop != 0.01)} of {whose}"
    if point is None:
        return f"Nothing that was measured is {within}."
    beyond = "" if point.file_bytes <= limits.most_bytes else ", more than the bytes on the right"
    return f"The smallest {within}: {_in_words(point, several)}{beyond}."


def best_in_words(point: Point | None, points: Sequence[Point], limits: Limits, several: bool) -> str:
    """The answer to the second budget."""
    size = wording.size(limits.most_bytes)
    if point is None:
        least = min(points, key=lambda point: point.file_bytes)
        return f"Nothing that was measured fits into {size}; the smallest takes {wording.size(least.file_bytes)}."
    below = "" if point.accuracy >= limits.least_accuracy else ", less than the accuracy on the left"
    return f"The most accurate within {size}: {_in_words(point, several)}{below}."


def _in_words(point: Point, several: bool) -> str:
    said = full_title(point.spec) if several else title(point.spec)
    return f"**{said}**, {wording.size(point.file_bytes)}, {wording.percent(point.accuracy, 2)}"


def row(point: Point, why: str) -> None:
    """A spec, and what one can do with it."""
    pinned = pins.names()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"**{full_title(point.spec)}**: {wording.percent(point.accuracy, 2)} "
            f"({wording.interval(*point.interval)}), {point.file_bytes:,} bytes",
            help=f"{why}. KnownResults on all {point.total:,} test images, "
            f"{'beforehand' if point.precomputed else 'on this machine'}; the interval is that of 95 %.",
            width="content",
        )
        page, label = ("layers", "Layers") if point.spec.layers else ("", "Explore")
        link = f"./{page}?{urlencode(selection.as_link(point.spec))}"  # here the same widgets say something else
        st.link_button(f"Open in {label}", link, icon=":material/open_in_new:", help="In a new tab")
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
                help=f"For the tab Compare: {len(pinned)} of {pins.MOST} are pinned",
            )
