"""`train`: a bundled network trained again."""

import argparse
import dataclasses
import json
from pathlib import Path

import torch
from tqdm import tqdm

from compression import train
from compression.cifar10 import TEST, TRAIN
from compression.commands.bars import follow_with_bar
from compression.data import DATA, load
from compression.engine import engine
from compression.live import Evaluator
from compression.models import zoo
from compression.models.architectures import ARCHITECTURES
from compression.models.normalization import NORMALIZATIONS
from compression.spec import CompressionSpec
from compression.store import Store

HELP = "train a bundled network again; killed, it resumes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help=f"one of {', '.join(train.RECIPES)}")
    parser.add_argument("--epochs", metavar="N", type=int, help="instead of the recipe's")
    parser.add_argument("--seed", metavar="N", type=int, help="instead of the recipe's")
    parser.add_argument("--out", metavar="FILE", type=Path, help="default: data/training/NAME.safetensors")


def run(options: argparse.Namespace) -> None:
    if options.name not in train.RECIPES:
        raise ValueError(f"there is no recipe {options.name!r}; there are {', '.join(train.RECIPES)}")
    changes = {k: v for k in ("epochs", "seed") if (v := getattr(options, k)) is not None}
    recipe = dataclasses.replace(train.RECIPES[options.name], **changes)
    out = options.out or DATA / "training" / f"{options.name}.safetensors"
    images, test = load(TRAIN), load(TEST)
    torch.manual_seed(recipe.seed)
    module = ARCHITECTURES[options.name].make()
    with tqdm(desc=options.name, unit="step", total=recipe.epochs * recipe.steps(len(images))) as bar:
        module = train.train(
            module, images, recipe, DATA / "training" / f"{options.name}.pt", lambda p: _show_epoch(bar, p)
        )
    module = zoo.rounded(module.cpu())
    model = zoo.FloatModel(options.name, module, NORMALIZATIONS[recipe.normalization])
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
    zoo.save(out, module, about)
    if options.json:
        print(json.dumps({"file": str(out), **about}))
    else:
        print(f"{out}: {result.accuracy:.2%} on CIFAR-10's {result.total:,} test images")


def _show_epoch(bar: tqdm, progress: train.Progress) -> None:
    if bar.n == 0:  # steps that were done before a kill do not count for the time left
        bar.initial = bar.n = progress.steps_done - 1
    bar.update(progress.steps_done - bar.n)
    bar.set_postfix_str(
        f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.3f}, "
        f"{progress.train_accuracy:.1%} of the training images",
        refresh=False,
    )
