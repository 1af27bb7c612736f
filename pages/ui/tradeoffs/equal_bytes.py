"""The tab Equal bytes: for the same file size, is pruning or quantization more accurate?"""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from compression.evaluation.multiplicity import PickedTest
from compression.results.pareto import Point
from compression.results.prune_or_quantize import Way, WinnerTests, best_of_each_way, compare_winners, group_by_way
from compression.spec.title import title
from pages.ui import wording
from pages.ui.charts import show
from pages.ui.charts.tradeoffs import equal_bytes
from pages.ui.compute import experiments
from pages.ui.tradeoffs import budgets, front

LABELS = {Way.PRUNED: "Pruned, float weights", Way.QUANTIZED: "Quantized, not pruned", Way.BOTH: "Pruned and quantized"}
CORRECTED = """\
Each spec shown is the most accurate of all measured specs of its kind that fit, and the best of many is partly lucky.
Therefore p is the largest p-value of McNemar's test between the more accurate winner and any spec of the other kind,
times the number of specs from which that winner was picked (Bonferroni)."""


def draw(model: str) -> None:
    """Shows the file size, the most accurate spec of each way, the verdict, and the front of each way."""
    known = experiments.known_results(model)
    ways = group_by_way(known.points)
    if not any(ways.values()):
        front.explain_no_points(model)
        return
    most_bytes = budgets.most_bytes([model])
    winners = best_of_each_way(known.points, most_bytes)
    for place, way in zip(st.columns(3), Way, strict=True):
        with place:
            _winner(way, winners[way])
    evaluations = {spec: result.evaluation for spec, result in known.results.items()}
    tests = compare_winners(known.points, most_bytes, evaluations)
    st.markdown(verdict(winners, most_bytes, tests), help=CORRECTED)
    figure = equal_bytes.ways(ways, winners, most_bytes, show.ink())
    show.chart(figure, "ways", "The most accurate spec of each way at every file size")
    st.caption(
        f"The most accurate measured specs of {model} at every file size. The same {known.points[0].total:,} test "
        "images choose them and measure them, so each looks slightly better than it is, by chance. The p-values are "
        "corrected for that choice; the accuracies are not."
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


def verdict(winners: Mapping[Way, Point | None], most_bytes: int, tests: WinnerTests) -> str:
    """Returns the answer in sentences."""
    pruned, quantized, both = (winners[way] for way in Way)
    size = wording.size(most_bytes)
    if pruned is None and quantized is None:
        if both is None:
            return f"No measured spec fits into {size}."
        return f"Neither pruning alone nor quantizing alone fits into {size}; both together do."
    if pruned is None or quantized is None or tests.between is None:
        alone = f"only {'quantizing' if pruned is None else 'pruning'} fits into {size}"
        return f"**{wording.capital(alone)}.** {_both(winners, tests.together)}"
    gap = abs(quantized.accuracy - pruned.accuracy)
    if tests.between.p >= wording.SIGNIFICANCE:
        answer = f"**Within {size} it hardly matters**: a difference of {100 * gap:.1f} points may be chance"
    else:
        what = "quantize" if quantized.accuracy > pruned.accuracy else "prune"
        answer = f"**Within {size}, {what}**: it is {100 * gap:.1f} points more accurate, which is more than chance"
    return f"{answer} (McNemar test, {_corrected(tests.between)}). {_both(winners, tests.together)}"


def _both(winners: Mapping[Way, Point | None], together: PickedTest | None) -> str:
    """Returns what pruning and quantizing together adds to the better of the two, in a sentence."""
    both = winners[Way.BOTH]
    if both is None or together is None:
        return "No spec that does both fits."
    single = max(point.accuracy for way in (Way.PRUNED, Way.QUANTIZED) if (point := winners[way]))
    gap = both.accuracy - single
    if together.p >= wording.SIGNIFICANCE:
        return (
            f"Doing both changes the accuracy by {wording.points(gap)}, which may be chance ({_corrected(together)})."
        )
    comparison = "more" if gap > 0 else "less"
    return f"Doing both is {100 * abs(gap):.1f} points {comparison} accurate ({_corrected(together)})."


def _corrected(test: PickedTest) -> str:
    """Returns the p-value, and from how many specs the more accurate one was picked."""
    return f"{wording.p_value(test.p)}, corrected for the best of {test.candidates:,}"
