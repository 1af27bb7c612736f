"""How well accuracy is estimated while predictions come in: the visiting order beside a plain sample.

    python -m benchmarks.estimator [--orders 200] [--models resnet20 vgg mobilenetv2]

Takes the predictions of the networks, float and compressed in 17 ways from very mild to broken, on all test images
(evaluated once, then kept in the store) and visits the images in many random orders. Prints markdown
tables, first by accuracy lost, then network by network: in what share of the orders the 95 % interval held the true
accuracy; the root mean square error beside the standard errors of a plain sample of as many images, taken for its
share of right ones and for its difference from the float network on the same images; and the mean half-width of the
interval. Chance alone moves a coverage of 95 % over 200 orders by 1.5 points (one standard error).
"""

import argparse
import math
from collections.abc import Iterator

import pandas as pd
from torch import Tensor
from tqdm import tqdm

from benchmarks.setting import conditions, table
from compression.data.images import load
from compression.engine.cluster import engine
from compression.engine.evaluator import Evaluator
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.sampling import estimate, visiting_order
from compression.networks.bundled import bundled_names, load_bundled
from compression.results.store import Store
from compression.spec import CompressionSpec, Granularity, PruneSpec, QuantSpec, Scheme, Scope

COUNTS = (125, 250, 500, 1000, 2000)  # the first is what a page shows first
LOST = {"less than 2": 2, "2 to 5": 5, "5 to 20": 20, "20 or more": math.inf}
SUMMARY = (
    *("points lost", "images", "networks", "coverage %, mean", "min", "max"),
    *("error / plain sample's, mean", "max", "half-width, mean", "max"),
)


def ways(model: str) -> Iterator[tuple[str, CompressionSpec]]:
    for bits in (8, 6, 5, 4, 3, 2):
        yield f"{bits} bits", CompressionSpec(model, weights=QuantSpec(bits))
    for bits in (6, 5, 4):
        coarse = QuantSpec(bits, Scheme.AFFINE, Granularity.TENSOR)
        yield f"{bits} bits, affine, one scale per tensor", CompressionSpec(model, weights=coarse)
    for sparsity in (0.2, 0.4, 0.5, 0.6, 0.7, 0.8):
        yield f"{100 * sparsity:.0f} % pruned", CompressionSpec(model, PruneSpec(sparsity=sparsity))
    for sparsity in (0.3, 0.6):
        prune = PruneSpec(sparsity=sparsity, scope=Scope.LAYER)
        yield f"{100 * sparsity:.0f} % of each layer pruned, 6 bits", CompressionSpec(model, prune, QuantSpec(6))


def standard_error(values: Tensor, count: int) -> float:
    """values (N,) -> that of their mean over `count`, drawn without replacement (Cochran 1977, theorem 2.2)."""
    return math.sqrt(float(values.double().var()) * (1 / count - 1 / len(values)))


def estimates(name: str, evaluator: Evaluator, orders: int) -> Iterator[dict[str, object]]:
    """Yields a row per way to compress the network, order and count; all figures are in percentage points."""
    model = load_bundled(name)
    before = evaluator.evaluate(model, CompressionSpec(name))
    evaluations = {way: evaluator.evaluate(model, spec) for way, spec in tqdm(list(ways(name)), name)}
    truths = {
        (way, count): {
            "network": name,
            "way": way,
            "accuracy": 100 * after.accuracy,
            "lost": 100 * (before.accuracy - after.accuracy),
            "images": count,
            "plain": 100 * standard_error(after.right, count),
            "paired": 100 * standard_error(after.right.int() - before.right.int(), count),
        }
        for way, after in evaluations.items()
        for count in COUNTS
    }
    for seed in tqdm(range(orders), f"{name}, orders"):
        order = visiting_order(before, seed)
        for (way, count), facts in truths.items():
            after, rows = evaluations[way], order.rows[:count]
            result = estimate(
                order, Evaluation(after.predictions[rows], after.labels[rows], after.classes, 0, math.nan), before
            )
            yield facts | {
                "held": 100 * (result.low <= after.accuracy <= result.high),
                "squared_error": (100 * (result.accuracy - after.accuracy)) ** 2,
                "half_width": 100 * result.half_width,
            }


def by_loss(cases: pd.DataFrame) -> str:
    """cases: figures by network, way, accuracy, lost and images -> a row for each range of points lost, and count."""
    flat = cases.reset_index()
    lost = pd.cut(flat.lost, [-math.inf, *LOST.values()], right=False, labels=list(LOST))
    figures = flat.groupby([lost, "images"], observed=True).agg(
        networks=("way", "size"),
        coverage=("held", "mean"),
        least=("held", "min"),
        most=("held", "max"),
        share=("share", "mean"),
        worst=("share", "max"),
        half_width=("half_width", "mean"),
        widest=("half_width", "max"),
    )
    rows = [
        (lost, f"{images:,}", f"{row.networks:.0f}", *map("{:.1f}".format, row[1:4]), *map("{:.2f}".format, row[4:]))
        for (lost, images), row in figures.iterrows()
    ]
    return table(SUMMARY, rows)


def by_network(cells: pd.Series) -> str:
    """cells: text by network, way, accuracy, lost and images -> a row a network, least lost first."""
    wide = cells.unstack("images").sort_index(level="lost")
    rows = [(network, way, f"{accuracy:.2f}", *row) for (network, way, accuracy, _), row in wide.iterrows()]
    return table(("network", "way", "accuracy %", *(f"{count:,} images" for count in wide.columns)), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--models", nargs="+", default=["resnet20", "vgg", "mobilenetv2"], choices=bundled_names())
    options = parser.parse_args()
    evaluator = Evaluator(engine(), Store(), load())
    tries = pd.DataFrame(row for name in options.models for row in estimates(name, evaluator, options.orders))
    cases = tries.groupby(["network", "way", "accuracy", "lost", "images"]).mean()
    cases["error"] = cases.squared_error**0.5
    cases["share"] = cases.error / cases.plain
    print(f"{len(cases) // len(COUNTS)} compressed networks, {options.orders} orders each; {conditions()}\n")
    print(by_loss(cases))
    print("\nCoverage of the 95 % interval, %\n")
    print(by_network(cases.held.map("{:.1f}".format)))
    print("\nRoot mean square error, points: ours / plain sample / plain sample, its difference from float\n")
    print(by_network(cases[["error", "plain", "paired"]].map("{:.2f}".format).agg(" / ".join, axis=1)))
    print("\nMean half-width of the 95 % interval, points\n")
    print(by_network(cases.half_width.map("{:.2f}".format)))


if __name__ == "__main__":
    main()
