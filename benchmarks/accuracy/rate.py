"""Accuracy against bytes of rate-aware rounding, on all 10,000 test images, at a fixed grid of rate penalties.

    python -m benchmarks.accuracy.rate [--model resnet20] [--threads 1]

Prints a markdown table: for each network and penalty the bytes of the whole file, biases and batch norm in 8-bit codes,
the accuracy, the points lost on images with even and with odd numbers, and the seconds of compression. The column
"pruned" is the share of weights that is pruned first; then the remaining weights move. Nothing is trained: the rounding
uses training images without their labels, 1,000 or as many as the column "images" says.
"""

import time
from dataclasses import replace

from torch import Tensor

from benchmarks.setting import conditions, network, networks_asked_for, table
from compression.core.compress import compress
from compression.core.training_evidence import evidence_for
from compression.data.images import ImageSet, load
from compression.evaluation.evaluation import evaluate
from compression.files.packed_file import to_bytes
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec, PruneSpec
from compression.spec.grid import rate_aware_spec

GRID: dict[str, tuple[tuple[float, float, int], ...]] = {  # network -> sparsity, rate penalty, training images
    "resnet20": tuple((0.0, penalty, 1000) for penalty in (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5)),
    "mobilenetv2": tuple((0.0, penalty, 1000) for penalty in (0.2, 0.4, 0.7, 1.0, 1.5)),
    "vgg": (
        *((0.0, 0.2, 1000), (0.0, 0.5, 1000), (0.8, 0.4, 1000), (0.8, 0.6, 1000), (0.8, 0.8, 1000)),
        *((0.8, 0.7, 4000), (0.75, 0.8, 4000)),
    ),
}

HEADER = ("network", "pruned", "rate penalty", "images", "bytes", "accuracy", "lost on even, odd images", "seconds")


def lost(before: Tensor, after: Tensor) -> str:
    """Returns the points lost on images with even and with odd numbers; `before`, `after` (N,) bool: correct or not."""
    halves = (float((before[half::2].float() - after[half::2].float()).mean()) for half in (0, 1))
    return ", ".join(f"{100 * each:.2f}" for each in halves)


def row(model: FloatModel, spec: CompressionSpec, images: ImageSet, before: Tensor) -> list[str]:
    """Returns the row of one spec. `before` (N,) bool: which images the float network classifies correctly."""
    evidence, start = evidence_for(model, spec), time.perf_counter()
    compressed = compress(model.module, spec, evidence)
    seconds = time.perf_counter() - start
    after = evaluate(compressed.module, images, model.normalization)
    return [
        model.name,
        f"{spec.prune.sparsity or 0:.0%}" if spec.prune else "0%",
        f"{spec.rate_penalty:g}",
        f"{spec.sample_images:,}",
        f"{len(to_bytes(compressed, model)):,}",
        f"{after.accuracy:.2%}",
        lost(before, after.right),
        f"{seconds:.1f}",
    ]


def main() -> None:
    names, images, rows = networks_asked_for(__doc__, list(GRID)), load(), []
    for name in names:
        model = network(name, random=False)
        before = evaluate(model.module, images, model.normalization).right
        for sparsity, penalty, count in GRID[name]:
            prune = PruneSpec(sparsity=sparsity) if sparsity else None
            changes = {"rate_penalty": penalty, "sample_images": count, "prune": prune, "reconstruct": bool(prune)}
            rows.append(row(model, replace(rate_aware_spec(name), **changes), images, before))
    print(table(HEADER, rows))
    print(f"\n{conditions()}")


if __name__ == "__main__":
    main()
