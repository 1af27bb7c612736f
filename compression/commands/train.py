"""`train`: a bundled network trained again."""

import argparse
import dataclasses
import json
from pathlib import Path

import torch
from tqdm import tqdm

from compression.commands.shared.progress import follow_with_bar
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

HELP = "train a bundled network again; killed, it resumes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help=f"one of {', '.join(RECIPES)}")
    parser.add_argument("--epochs", metavar="N", type=int, help="instead of the recipe's")
    parser.add_argument("--seed", metavar="N", type=int, help="instead of the recipe's")
    parser.add_argument("--out", metavar="FILE", type=Path, help="default: data/training/NAME.safetensors")


def run(options: argparse.Namespace) -> None:
    if options.name not in RECIPES:
        raise ValueError(f"there is no recipe {options.name!r}; there are {', '.join(RECIPES)}")
    changes = {k: v for k in ("epochs", "seed") if (v := getattr(options, k)) is not None}
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
    result = follow_with_bar(evaluator.follow(model, CompressionSpec(model.name)), len(test), "test").whole
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
        print(json.dumps({"file": str(out), **about}))
    else:
        print(f"{out}: {result.accuracy:.2%} on CIFAR-10's {result.total:,} test images")


def _show_epoch(bar: tqdm, progress: TrainingProgress) -> None:
    if bar.n == 0:  # steps that were done before a kill do not count for the time left
        bar.initial = bar.n = progress.steps_done - 1
    bar.update(progress.steps_done - bar.n)
    bar.set_postfix_str(
        f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.3f}, "
        f"{progress.train_accuracy:.1%} of the training images",
        refresh=False,
    )
