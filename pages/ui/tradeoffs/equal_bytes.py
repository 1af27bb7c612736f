"""For the same bytes: prune or quantize?"""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from compression.evaluation.evaluation import flips
from compression.results.known import KnownResults
from compression.results.pareto import Point
from compression.results.prune_or_quantize import Way, best_of_each_way, group_by_way
from compression.spec.title import title
from pages.ui import wording
from pages.ui.charts import equal_bytes, show
from pages.ui.compute import experiments
from pages.ui.tradeoffs import budgets, front

LABELS = {Way.PRUNED: "Pruned, float weights", Way.QUANTIZED: "Quantized, not pruned", Way.BOTH: "Both together"}
REAL = 0.05


def draw(model: str) -> None:
    """A slider, three winners, the answer, and all fronts."""
    known = experiments.known_results(model)
    ways = group_by_way(known.points)
    if not any(ways.values()):
        front.nothing(model)
        return
    most_bytes = budgets.most_bytes(model)
    winners = best_of_each_way(known.points, most_bytes)
    for place, way in zip(st.columns(3), Way, strict=True):
        with place:
            _winner(way, winners[way])
    st.markdown(verdict(winners, most_bytes, _p(known, winners)))
    figure = equal_bytes.ways(ways, winners, most_bytes, show.ink())
    show.chart(figure, "ways", "The most accurate of each way for any number of bytes")
    st.caption(
        f"The most accurate of all that was measured of {model}, for any number of bytes, on the same "
        f"{known.points[0].total:,} test images that choose it: each is flattered a little by chance."
    )


def _winner(way: Way, point: Point | None) -> None:
    label = LABELS[way]
    plain: dict[str, Any] = {"delta_color": "off", "delta_arrow": "off", "border": True}
    if point is None:
        st.metric(label, "none", "nothing of this kind is as small", **plain)
        return
    spread = wording.interval(*point.interval)
    st.metric(
        label,
        wording.percent(point.accuracy, 2),
        f"{title(point.spec)}, {wording.size(point.file_bytes)}",
        **plain,
    )
    st.caption(f"95 % interval: {spread}")


def _p(known: KnownResults, winners: Mapping[Way, Point | None]) -> dict[frozenset[Way], float]:
    """McNemar's p between any two winners."""
    evaluations = {way: known.results[point.spec].evaluation for way, point in winners.items() if point}
    return {
        frozenset((one, other)): flips(evaluations[one], evaluations[other]).p
        for one in evaluations
        for other in evaluations
        if one < other
    }


def verdict(winners: Mapping[Way, Point | None], most_bytes: int, p: Mapping[frozenset[Way], float]) -> str:
    """The answer in words."""
    pruned, quantized, both = (winners[way] for way in Way)
    size = wording.size(most_bytes)
    if pruned is None and quantized is None:
        if both is None:
            return f"Nothing that was measured fits into {size}."
        return f"Neither alone fits into {size}; both together do."
    if pruned is None or quantized is None:
        alone = f"only {'quantizing' if pruned is None else 'pruning'} fits into {size}"
        return f"**{wording.capital(alone)}.** {_both(winners, p)}"
    between = p[frozenset((Way.PRUNED, Way.QUANTIZED))]
    gap = abs(quantized.accuracy - pruned.accuracy)
    if between >= REAL:
        said = f"**Within {size} it hardly matters**: {100 * gap:.1f} points may be chance"
    else:
        what = "quantize" if quantized.accuracy > pruned.accuracy else "prune"
        said = f"**Within {size}, {what}**: it is {100 * gap:.1f} points better, and that is real"
    return f"{said} (McNemar, {wording.p_value(between)}). {_both(winners, p)}"


def _both(winners: Mapping[Way, Point | None], p: Mapping[frozenset[Way], float]) -> str:
    """What doing both adds to the better one alone."""
    both = winners[Way.BOTH]
    single = {way: point for way in (Way.PRUNED, Way.QUANTIZED) if (point := winners[way])}
    alone = max(single, key=lambda way: single[way].accuracy)
    if both is None:
        return "Nothing that does both is as small."
    gap, chance = both.accuracy - single[alone].accuracy, p[frozenset((alone, Way.BOTH))]
    if chance >= REAL:
        return f"Doing both changes {wording.points(gap)}, which may be chance ({wording.p_value(chance)})."
    worse = "better still" if gap > 0 else "worse"
    return f"Doing both is {100 * abs(gap):.1f} points {worse} ({wording.p_value(chance)})."
