"""A sweep beside the same specs in the usual way, and one worker beside two.

    python -m benchmarks.sweep [--model resnet20] [--specs 48] [--images 10000]

The specs are bits per weight (float, 8, 6, 5, 4, 3) by sparsities (0 to 0.9), or as many of them, spread evenly. The
usual way prunes with torch.nn.utils.prune, quantizes with torch.fake_quantize_per_channel_affine, and loops over a
DataLoader of PIL images with ToTensor and Normalize, all of torch's threads at work. The sweeps also count the bytes of
each spec's file; each has a store of its own, empty at first. Each way does four specs at a time, in turns, so that a
slow minute of the machine falls on all of them. Prints a markdown table.
"""

import argparse
import copy
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from benchmarks.evaluation import usual_way
from benchmarks.setting import conditions, network, table
from compression.data.images import ImageSet, load
from compression.engine.cluster import Engine
from compression.engine.evaluator import Evaluator
from compression.engine.workers import cores
from compression.experiments.sweeper import Sweeper
from compression.networks.model import FloatModel
from compression.networks.weights import weighted_layers
from compression.results.store import Store
from compression.spec import CompressionSpec
from compression.spec.grid import grid, prune_specs

BITS = (None, 8, 6, 5, 4, 3)
SPARSITIES = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
AT_A_TIME = 4
WARM = 250  # images


class SmallestFirst(prune.BasePruningMethod):
    """prune.L1Unstructured, which breaks ties at random: here of equal weights the first ones go, as in ours."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, count: int) -> None:
        self.count = count

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        mask = default_mask.clone()
        mask[t.abs().argsort(stable=True)[: self.count]] = 0
        return mask


Predictions = list[Tensor]
Way = Callable[[Sequence[CompressionSpec]], Predictions]


def compress_with_torch(module: nn.Module, spec: CompressionSpec) -> nn.Module:
    """Returns a copy of `module` that is compressed with torch alone."""
    own: Any = copy.deepcopy(module).to(memory_format=torch.contiguous_format)
    layers = [own.get_submodule(name) for name in weighted_layers(own)]
    if spec.prune and spec.prune.sparsity:
        count = math.floor(spec.prune.sparsity * sum(layer.weight.numel() for layer in layers))
        parameters = [(layer, "weight") for layer in layers]
        prune.global_unstructured(parameters, pruning_method=SmallestFirst, count=count)
        for layer in layers:
            prune.remove(layer, "weight")
    if spec.weights:
        most = 2 ** (spec.weights.bits - 1) - 1
        for layer in layers:
            weight = layer.weight.detach()
            scale = weight.abs().flatten(1).amax(1) / most
            scale[scale == 0] = 1
            zeros = torch.zeros(len(scale), dtype=torch.int32)
            layer.weight.data = torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -most, most)
    return own


def loop_of_usual_way(model: FloatModel, images: ImageSet) -> Way:
    def run(specs: Sequence[CompressionSpec]) -> Predictions:
        networks = (compress_with_torch(model.module, spec) for spec in specs)
        return [usual_way(each, images, model.normalization, 0)() for each in networks]

    return run


def sweep_with(model: FloatModel, images: ImageSet, engine: Engine, folder: Path) -> Way:
    store = Store(folder / "results.sqlite")
    sweeper = Sweeper(engine, store, Evaluator(engine, store, images))

    def run(specs: Sequence[CompressionSpec]) -> Predictions:
        *_, last = sweeper.follow({model.name: model}, specs)
        return [each.evaluation.predictions for each in last.results]

    return run


def ways(model: FloatModel, images: ImageSet, engines: dict[int, Engine], folder: Path) -> dict[str, Way]:
    return {
        **{
            f"a sweep, {n} worker{'s' * (n > 1)}": sweep_with(model, images, engines[n], folder / f"{n}")
            for n in engines
        },
        "the usual way": loop_of_usual_way(model, images),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--specs", type=int, default=len(BITS) * len(SPARSITIES))
    parser.add_argument("--images", type=int, default=10_000)
    options = parser.parse_args()
    model, images = network(options.model, False), load()[: options.images]
    all_specs = grid(model.name, BITS, prune_specs(SPARSITIES))
    specs = [all_specs[number * len(all_specs) // options.specs] for number in range(options.specs)]
    engines = {count: Engine(workers=count, preload=("compression.engine.tasks",)) for count in (cores(), 1)}
    with tempfile.TemporaryDirectory() as folder:
        for way in ways(model, images[:WARM], engines, Path(folder) / "warm").values():
            way(specs[:1])
        ways_to_time = ways(model, images, engines, Path(folder))
        seconds, predictions = dict.fromkeys(ways_to_time, 0.0), {name: [] for name in ways_to_time}
        for start in range(0, len(specs), AT_A_TIME):
            for name, way in ways_to_time.items():
                start_time = time.perf_counter()
                predictions[name] += way(specs[start : start + AT_A_TIME])
                seconds[name] += time.perf_counter() - start_time
    ours = next(iter(ways_to_time))
    rows = [
        (
            name,
            f"{seconds[name]:.1f}",
            f"{seconds[name] / seconds[ours]:.2f}",
            sum(int((one != other).sum()) for one, other in zip(predictions[name], predictions[ours], strict=True)),
        )
        for name in ways_to_time
    ]
    print(f"{model.name}, {len(specs)} specs, {len(images):,} test images; {conditions()}\n")
    print(table(("way", "seconds", "times the first", f"of {len(specs) * len(images):,} answers differ"), rows))


if __name__ == "__main__":
    main()
