"""The time of a training step, beside bare loops that do nothing else.

    python -m benchmarks.training [--model resnet20] [--steps 60]

Prints a markdown table: for each setting the median seconds of a step of `retraining.Training`, with its images, crops
and seeds; its ratio to a bare loop of the same forward and backward pass and the same optimizer, on a batch that is
ready; its ratio to the usual loop of the float network; and the ratio of a step in bfloat16 to it. Steps take turns, so
that all see the same machine. One thread, as in a worker. Needs the training images.
"""

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import trange

from benchmarks.setting import conditions, network, table
from compression.core.training_evidence import evidence_for
from compression.data.cifar10 import TRAIN
from compression.data.images import ImageSet, load
from compression.networks.model import FloatModel
from compression.retraining.latent import latent_network
from compression.retraining.optimizers import Optimizers
from compression.retraining.recipe import Precision, Recipe
from compression.retraining.start import Start, prepare
from compression.retraining.training import Training
from compression.spec import ActivationSpec, CompressionSpec, PruneSpec, QuantSpec

WARM_UP = 5
Step = Callable[[], object]


def settings(model: str) -> dict[str, CompressionSpec]:
    """Returns what is trained, by its name."""
    return {
        "90 % sparse": CompressionSpec(model, PruneSpec(sparsity=0.9)),
        "4 bits": CompressionSpec(model, weights=QuantSpec(4)),
        "4 bits, 4-bit activations": CompressionSpec(model, weights=QuantSpec(4), activations=ActivationSpec(4)),
    }


def bare_step(start: Start, recipe: Recipe, images: ImageSet) -> Step:
    """Returns the same forward and backward pass and the same optimizer, on a batch that is ready."""
    latent = latent_network(start.compressed, start.masks, from_rounded=False)
    optimizers = Optimizers(latent, recipe)
    inputs, labels = start.model.normalization(images.pixels), images.labels
    return lambda: optimizers.step_(F.cross_entropy(latent(inputs), labels), 1.0)


def usual_step(model: FloatModel, recipe: Recipe, images: ImageSet) -> Step:
    """Returns a step of the float network, as every tutorial has it."""
    module = copy.deepcopy(model.module).train().requires_grad_()
    optimizer = torch.optim.SGD(module.parameters(), lr=recipe.rate, momentum=recipe.momentum, nesterov=True)
    inputs, labels = model.normalization(images.pixels), images.labels

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(module(inputs), labels).backward()
        optimizer.step()

    return step


def seconds_of(step: Step) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def measure(model: FloatModel, spec: CompressionSpec, images: ImageSet, steps: int) -> tuple[str, ...]:
    """Returns the median seconds of a step, the medians of its ratios to the two loops, and that of bfloat16 to it."""
    recipe = Recipe(steps=100 * (steps + WARM_UP), points=1)
    start = prepare(model, spec, evidence_for(model, spec))
    training, rounded = (
        Training(start, replace(recipe, precision=precision), images)
        for precision in (Precision.FLOAT32, Precision.BFLOAT16)
    )
    for each in (training, rounded):
        each.advance(0)  # counts the held-out images
    batch = images[: recipe.batch_size]
    turns = (
        lambda: training.advance(1),
        bare_step(start, recipe, batch),
        usual_step(model, recipe, batch),
        lambda: rounded.advance(1),
    )
    times = np.array([[seconds_of(step) for step in turns] for _ in trange(steps + WARM_UP, leave=False)])[WARM_UP:]
    ours, bare, usual, in_bfloat16 = times.T
    ratios = (ours / bare, ours / usual, in_bfloat16 / ours)
    return f"{np.median(ours):.3f}", *(f"{np.median(ratio):.2f}" for ratio in ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, images = network(options.model, random=False), load(TRAIN)
    rows = [(name, *measure(model, spec, images, options.steps)) for name, spec in settings(model.name).items()]
    print(f"{model.name}, batches of {Recipe().batch_size}; {conditions()}\n")
    heads = (
        "trained",
        "seconds of a step",
        "by a bare loop of the same",
        "by a loop of the float network",
        "in bfloat16",
    )
    print(table(heads, rows))


if __name__ == "__main__":
    main()
