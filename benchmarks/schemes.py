"""How long it takes to prune and quantize a network, by scheme, range and granularity.

    python -m benchmarks.schemes [--model vgg] [--bits 4]

Prints a markdown table: median milliseconds over five specs, each with another sparsity, at the bits that are asked for
or the nearest that the scheme can have.
"""

import argparse
import itertools
import time

import numpy as np

from benchmarks.setting import conditions, network, table
from compression.core.compress import compress
from compression.networks.model import FloatModel
from compression.spec import MAX_BITS, Clip, CompressionSpec, Granularity, PruneSpec, QuantSpec, Scheme

ROUNDS = 5
STEP = 0.01


def milliseconds(model: FloatModel, quant: QuantSpec) -> float:
    """The median over specs that have not been seen before; the first one warms up."""
    times = []
    for turn in range(ROUNDS + 1):
        spec = CompressionSpec(model.name, PruneSpec(sparsity=0.5 + turn / 100), quant)
        start = time.perf_counter()
        compress(model.module, spec)
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vgg")
    parser.add_argument("--bits", type=int, default=4)
    options = parser.parse_args()
    model = network(options.model, random=False)
    rows = []
    for scheme, clip in itertools.product(Scheme, Clip):
        if scheme is not Scheme.STEP and (scheme.clippable or clip is Clip.FULL):
            bits = scheme.nearest_bits(options.bits)
            times = [milliseconds(model, QuantSpec(bits, scheme, granularity, clip)) for granularity in Granularity]
            rows.append((scheme, str(bits), clip, *(f"{each:.0f}" for each in times)))
    step = QuantSpec(MAX_BITS, Scheme.STEP, step=STEP)
    rows.append((Scheme.STEP, f"to {MAX_BITS}", Clip.FULL, f"{milliseconds(model, step):.0f}", "", ""))
    print(f"{model.name}; {conditions()}\n")
    print(table(("scheme", "bits", "range", *(f"per {granularity}, ms" for granularity in Granularity)), rows))


if __name__ == "__main__":
    main()
