"""The tab Equal bytes: for the same file size, is pruning or quantization more accurate?"""

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

LABELS = {Way.PRUNED: "Pruned, float weights", Way.QUANTIZED: "Quantized, not pruned", Way.BOTH: "Pruned and quantized"}
REAL = 0.05  # McNemar's p below which a difference is called real


def draw(model: str) -> None:
    """Shows the file size, the most accurate spec of each way, the verdict, and the front of each way."""
    known = experiments.known_results(model)
    ways = group_by_way(known.points)
    if not any(ways.values()):
        front.explain_no_points(model)
        return
    most_bytes = budgets.most_bytes(model)
    winners = best_of_each_way(known.points, most_bytes)
    for place, way in zip(st.columns(3), Way, strict=True):
        with place:
            _winner(way, winners[way])
    st.markdown(verdict(winners, most_bytes, _p(known, winners)))
    figure = equal_bytes.ways(ways, winners, most_bytes, show.ink())
    show.chart(figure, "ways", "The most accurate spec of each way at every file size")
    st.caption(
        f"The most accurate measured specs of {model} at every file size. The same {known.points[0].total:,} test "
        "images choose them and measure them, so each looks slightly better than it is, by chance."
    )


def _winner(way: Way, point: Point | None) -> None:
    label = LABELS[way]
    plain: dict[str, Any] = {"delta_color": "off", "delta_arrow": "off", "border": True}
    if point is None:
        st.metric(label, "none", "no such file is this small", **plain)
        return
    interval = wording.interval(*point.interval)
    st.metric(
        label,
        wording.percent(point.accuracy, 2),
        f"{title(point.spec)}, {wording.size(point.file_bytes)}",
        **plain,
    )
    st.caption(f"95 % confidence interval: {interval}")


def _p(known: KnownResults, winners: Mapping[Way, Point | None]) -> dict[frozenset[Way], float]:
    """Returns McNemar's p for every pair of winners."""
    evaluations = {way: known.results[point.spec].evaluation for way, point in winners.items() if point}
    return {
        frozenset((one, other)): flips(evaluations[one], evaluations[other]).p
        for one in evaluations
        for other in evaluations
        if one < other
    }


def verdict(winners: Mapping[Way, Point | None], most_bytes: int, p: Mapping[frozenset[Way], float]) -> str:
    """Returns the answer in sentences."""
    pruned, quantized, both = (winners[way] for way in Way)
    size = wording.size(most_bytes)
    if pruned is None and quantized is None:
        if both is None:
            return f"No measured spec fits into {size}."
        return f"Neither pruning alone nor quantizing alone fits into {size}; both together do."
    if pruned is None or quantized is None:
        alone = f"only {'quantizing' if pruned is None else 'pruning'} fits into {size}"
        return f"**{wording.capital(alone)}.** {_both(winners, p)}"
    between = p[frozenset((Way.PRUNED, Way.QUANTIZED))]
    gap = abs(quantized.accuracy - pruned.accuracy)
    if between >= REAL:
        answer = f"**Within {size} it hardly matters**: a difference of {100 * gap:.1f} points may be chance"
    else:
        what = "quantize" if quantized.accuracy > pruned.accuracy else "prune"
        answer = f"**Within {size}, {what}**: it is {100 * gap:.1f} points more accurate, and that is real"
    return f"{answer} (McNemar, {wording.p_value(between)}). {_both(winners, p)}"


def _both(winners: Mapping[Way, Point | None], p: Mapping[frozenset[Way], float]) -> str:
    """Returns what pruning and quantizing together adds to the better of the two, in a sentence."""
    both = winners[Way.BOTH]
    single = {way: point for way in (Way.PRUNED, Way.QUANTIZED) if (point := winners[way])}
    alone = max(single, key=lambda way: single[way].accuracy)
    if both is None:
        return "No spec that does both fits."
    gap, chance = both.accuracy - single[alone].accuracy, p[frozenset((alone, Way.BOTH))]
    if chance >= REAL:
        change = wording.points(gap)
        return f"Doing both changes the accuracy by {change}, which may be chance ({wording.p_value(chance)})."
    comparison = "more" if gap > 0 else "less"
    return f"Doing both is {100 * abs(gap):.1f} points {comparison} accurate ({wording.p_value(chance)})."
