"""The answers to the two budgets, and what the points stand on, in sentences."""

from collections.abc import Sequence

from compression.results.pareto import Point
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.charts.tradeoffs.front import Limits
from pages.ui.compute import networks


def stands_on(points: Sequence[Point]) -> str:
    """Returns what the points stand on: "110 specs, each measured on all 10,000 test images: 98 beforehand, …"."""
    known = networks.descents()
    trained = sum(point.spec.model in known and point.spec == CompressionSpec(point.spec.model) for point in points)
    kinds = [f"{len(points) - trained:,} specs"] if trained < len(points) else []
    kinds += [f"{trained:,} network{'s' * (trained > 1)} recovered by training"] if trained else []
    beforehand = sum(point.precomputed for point in points)
    parts = [f"{beforehand:,} beforehand"] if beforehand else []
    parts += [f"{len(points) - beforehand:,} on this machine"] if beforehand < len(points) else []
    return (
        f"{' and '.join(kinds)}, each measured on all {points[0].total:,} test images: {', '.join(parts)}. "
        "The best of many on the same images looks slightly better than it is, by chance."
    )


def smallest_in_words(point: Point | None, drop: float, limits: Limits, model: str, several: bool) -> str:
    """Returns the answer to the first budget: the smallest file within an accuracy drop."""
    float_network = f"{model} in float" if several else "float"
    if model in networks.descents():
        float_network = "the recovered network"
    within = f"within {100 * drop:g} point{'s' * (drop != 0.01)} of {float_network}"
    if point is None:
        return f"No measured spec is {within}."
    note = "" if point.file_bytes <= limits.most_bytes else ", larger than the file size on the right"
    return f"The smallest file {within}: {_in_words(point, several)}{note}."


def best_in_words(point: Point | None, points: Sequence[Point], limits: Limits, several: bool) -> str:
    """Returns the answer to the second budget: the most accurate spec within a file size."""
    size = wording.size(limits.most_bytes)
    if point is None:
        least = min(points, key=lambda point: point.file_bytes)
        return f"No measured spec fits into {size}; the smallest has {wording.size(least.file_bytes)}."
    note = "" if point.accuracy >= limits.least_accuracy else ", less accurate than the budget on the left"
    return f"The most accurate within {size}: {_in_words(point, several)}{note}."


def _in_words(point: Point, several: bool) -> str:
    network, what = networks.described(point.spec)
    name = f"{network}, {what}" if several else what
    return f"**{name}**, {wording.size(point.file_bytes)}, {wording.percent(point.accuracy, 2)}"
