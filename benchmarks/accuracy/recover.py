"""Accuracy given back without training, on all 10,000 test images, beside the same compression without it.

    python -m benchmarks.accuracy.recover [--model resnet20] [--threads 1]

Prints a markdown table: for each network and setting the accuracy of nearest rounding or of pruning alone, the accuracy
with recovery, and the seconds and CPU seconds that recovery takes, loading excluded. The images that recovery looks at
are 1,000 training images; test images are counted once, at the end.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from benchmarks.setting import conditions, network, networks_asked_for, table
from compression.core.compress import compress
from compression.core.training_evidence import evidence_for
from compression.data.images import ImageSet, load
from compression.evaluation.evaluation import evaluate
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec, Criterion, PruneSpec, QuantSpec, Rounding, Structure
from compression.spec.grid import PRUNED, ROUNDED

MODELS = ("resnet20", "vgg", "mobilenetv2")

HEADER = ("network and setting", "without", "with recovery", "seconds", "CPU seconds", "recipe")


def settings(model: str) -> Iterator[tuple[str, CompressionSpec, Mapping[str, Any]]]:
    """Yields a name, the spec without recovery, and the steps of recovery, for each setting of the network `model`."""
    for bits in (4, 3, 2):
        yield f"{bits} bits per channel", CompressionSpec(model, weights=QuantSpec(bits), fold_bn=True), ROUNDED
    yield "3 bits per channel", CompressionSpec(model, weights=QuantSpec(3)), {"reestimate_bn": True}
    for criterion in (Criterion.L1, Criterion.OBS):
        yield (
            f"80 % sparse by {criterion}",
            CompressionSpec(model, PruneSpec(sparsity=0.8, criterion=criterion)),
            PRUNED,
        )
        two_of_four = PruneSpec(structure=Structure.N_M, criterion=criterion)
        yield f"2:4 sparse by {criterion}", CompressionSpec(model, two_of_four), PRUNED


def row(model: FloatModel, name: str, spec: CompressionSpec, steps: Mapping[str, Any], images: ImageSet) -> list[str]:
    """Returns the row of one setting."""
    recovered = replace(spec, **steps)
    evidence = evidence_for(model, recovered)
    before = evaluate(compress(model.module, spec, evidence).module, images, model.normalization)
    start, cpu = time.perf_counter(), time.process_time()
    module = compress(model.module, recovered, evidence).module
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    after = evaluate(module, images, model.normalization)
    options = ", ".join(str(value) if isinstance(value, Rounding) else key for key, value in steps.items())
    return [
        f"{model.name}, {name}",
        f"{before.accuracy:.2%}",
        f"{after.accuracy:.2%}",
        f"{seconds:.1f}",
        f"{cpu_seconds:.1f}",
        f"{options}, batch norm folded" if spec.fold_bn else options,
    ]


def main() -> None:
    names, images, rows = networks_asked_for(__doc__, MODELS), load(), []
    for name in names:
        model = network(name, random=False)
        rows += [row(model, *setting, images) for setting in settings(name)]
    print(table(HEADER, rows))
    print(f"\n{conditions()}")


if __name__ == "__main__":
    main()
