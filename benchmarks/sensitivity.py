"""Each layer alone at each setting: what comes after it run again, beside the whole network run again.

    python -m benchmarks.sensitivity [--model resnet20] [--bits 8,6,5,4,3,2] [--images 1000]

Prints a markdown table: seconds of both ways in this process, batch by batch in turn, so that both meet the same
machine, and whether all predictions are the same. `compress` is counted in both.
"""

import argparse
import time

import torch

from benchmarks.setting import conditions, network, table
from compression.core.compress import compress
from compression.data.images import load
from compression.evaluation.evaluation import BATCH, evaluate_batch
from compression.experiments.layerwise import StagedNetwork, Walk, single_layer_spec
from compression.networks.folding import fold_batch_norm
from compression.spec import CompressionSpec, QuantSpec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--bits", default="8,6,5,4,3,2")
    parser.add_argument("--images", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)  # as a worker has it
    model, images = network(options.model, random=False), load()[: options.images]
    specs = [CompressionSpec(model.name, weights=QuantSpec(int(bits))) for bits in options.bits.split(",")]
    seconds = {"whole": 0.0, "after": 0.0}
    different = 0

    start = time.perf_counter()
    stages = StagedNetwork(model)
    changes = {layer: [stages.change(layer, spec) for spec in specs] for layer in stages.names}
    seconds["after"] += time.perf_counter() - start
    start = time.perf_counter()
    whole = {
        (layer, spec): fold_batch_norm(compress(model.module, single_layer_spec(spec, layer, stages.names)).module)
        for layer in stages.names
        for spec in specs
    }
    seconds["whole"] += time.perf_counter() - start

    for place in range(0, len(images), BATCH):
        batch = images[place : place + BATCH]
        start = time.perf_counter()
        walk = Walk(stages, batch)
        seconds["after"] += time.perf_counter() - start
        for layer in stages.names:
            start = time.perf_counter()
            evaluations = walk.evaluate(layer, changes[layer])
            seconds["after"] += time.perf_counter() - start
            start = time.perf_counter()
            expected = [evaluate_batch(whole[layer, spec], batch, model.normalization) for spec in specs]
            seconds["whole"] += time.perf_counter() - start
            different += sum(
                int((a.predictions != b.predictions).sum()) for a, b in zip(evaluations, expected, strict=True)
            )

    cells = len(stages.names) * len(specs)
    print(f"{model.name}, {len(stages.names)} layers x {len(specs)} settings, {len(images):,} images; {conditions()}\n")
    rows = [
        ("the whole network", f"{seconds['whole']:.1f}", "1.00"),
        ("what comes after the layer", f"{seconds['after']:.1f}", f"{seconds['after'] / seconds['whole']:.2f}"),
    ]
    print(table(("run again", "seconds", "of the whole"), rows))
    print(f"\n{different} of {cells * len(images):,} predictions differ")


if __name__ == "__main__":
    main()
