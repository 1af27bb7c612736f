"""From a slider's value to all figures ready, without accuracy: what a move of a slider costs the server.

    python -m benchmarks.fast_path [--model resnet20] [--random] [--specs 50]

Prints a markdown table: median and 95th percentile in milliseconds over 50 specs, by stage and in total.
The stages are those of the Explore page. No spec comes twice, so nothing is remembered from one to the next.
"""

import argparse
import itertools
import random
import time

import numpy as np

from benchmarks.setting import conditions, network, table
from compression.core.compress import compress
from compression.core.record import bit_operations
from compression.files.ledger import count_file
from compression.files.size import count_bytes
from compression.inspect.histogram import build_weight_view
from compression.networks.macs import layer_macs
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec, Granularity, PruneSpec, QuantSpec, Scheme, Scope
from pages.ui.charts import explore, style

STAGES = ("compress", "histograms", "sizes and bit operations", "charts as JSON")
WARM_UP = 3


def specs(model: str, count: int) -> list[CompressionSpec]:
    """`count` different specs, the same each time: bits, schemes, granularities, sparsities and scopes mixed."""
    bits = (2, 3, 4, 5, 6, 8, 12, 16)
    sparsities = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    schemes = Scheme.SYMMETRIC, Scheme.AFFINE
    ways = list(itertools.product(bits, schemes, Granularity, sparsities, Scope))
    return [
        CompressionSpec(model, PruneSpec(sparsity=sparsity, scope=scope), QuantSpec(b, scheme, granularity))
        for b, scheme, granularity, sparsity, scope in random.Random(0).sample(ways, count)
    ]


def one_move(model: FloatModel, macs: dict[str, int], spec: CompressionSpec) -> list[float]:
    """Milliseconds by stage, then in total, for all that the Explore page shows of `spec`."""
    marks = [time.perf_counter()]
    compressed = compress(model.module, spec)
    marks.append(time.perf_counter())
    view = build_weight_view(compressed)
    marks.append(time.perf_counter())
    count_bytes(compressed)
    file = count_file(compressed, model, quick=True)
    bit_operations(compressed, macs)
    marks.append(time.perf_counter())
    for figure in (
        explore.weights(view, "the network", style.ink("light")),
        explore.layers(file, [layer.facts for layer in compressed.layers], style.ink("light")),
    ):
        figure.to_json()
    marks.append(time.perf_counter())
    return [1000 * (end - start) for start, end in itertools.pairwise(marks)] + [1000 * (marks[-1] - marks[0])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--random", action="store_true", help="random weights")
    parser.add_argument("--specs", type=int, default=50)
    options = parser.parse_args()
    model = network(options.model, options.random)
    macs = layer_macs(model.module, model.example)
    moves = [one_move(model, macs, spec) for spec in specs(model.name, WARM_UP + options.specs)][WARM_UP:]
    rows = [
        (stage, f"{np.median(times):.1f}", f"{np.percentile(times, 95):.1f}")
        for stage, times in zip((*STAGES, "total"), np.transpose(moves), strict=True)
    ]
    print(f"{model.name}, {len(moves)} specs; {conditions()}\n")
    print(table(("stage", "median ms", "95th percentile ms"), rows))


if __name__ == "__main__":
    main()
