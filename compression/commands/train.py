"""`train`: trains a bundled network again."""

import argparse
import dataclasses

import torch
from tqdm import tqdm

from compression.commands.shared.json_text import to_json
from compression.commands.shared.progress import follow_images, show_steps
from compression.data.cifar10 import TEST, TRAIN
from compression.data.images import load
from compression.engine.cluster import engine
from compression.engine.evaluator import Evaluator
from compression.networks import bundled
from compression.networks.architectures.table import ARCHITECTURES
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.paths import DATA
from compression.results.store import Store
from compression.spec import CompressionSpec
from compression.training import train
from compression.training.recipe import RECIPES, TrainingProgress


def run(options: argparse.Namespace) -> None:
    """Trains, evaluates on all test images and writes the file. Killed, it resumes at its last epoch."""
    if options.name not in RECIPES:
        raise ValueError(f"there is no recipe {options.name!r}; there are {', '.join(RECIPES)}")
    changes = {name: value for name in ("epochs", "seed") if (value := getattr(options, name)) is not None}
    recipe = dataclasses.replace(RECIPES[options.name], **changes)
    out = options.out or DATA / "training" / f"{options.name}.safetensors"
    images, test = load(TRAIN), load(TEST)
    torch.manual_seed(recipe.seed)
    module = ARCHITECTURES[options.name].make()
    with tqdm(desc=options.name, unit="step", total=recipe.epochs * recipe.steps(len(images))) as bar:
        module = train.train(
            module, images, recipe, DATA / "training" / f"{options.name}.pt", lambda p: _show_epoch(bar, p)
        )
    module = bundled.copy_as_stored(module.cpu())
    model = FloatModel(options.name, module, NORMALIZATIONS[recipe.normalization])
    evaluator = Evaluator(engine(), Store(), test)
    result = follow_images(evaluator.follow(model, CompressionSpec(model.name)), len(test), "test").whole
    if result is None:
        raise KeyboardInterrupt
    about = {
        "arch": options.name,
        "normalization": recipe.normalization,
        "recipe": dataclasses.asdict(recipe),
        "trained_on": f"CIFAR-10's {len(images):,} training images, fingerprint {TRAIN.fingerprint}",
        "test_accuracy": result.accuracy,
    }
    bundled.save_network(out, module, about)
    if options.json:
        print(to_json({"file": str(out), **about}))
    else:
        print(f"{out}: {result.accuracy:.2%} on CIFAR-10's {result.total:,} test images")


def _show_epoch(bar: tqdm, progress: TrainingProgress) -> None:
    words = (
        f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.3f}, "
        f"{progress.train_accuracy:.1%} of the training images"
    )
    show_steps(bar, progress.steps_done, words)
