"""The command line: the same specs as the pages, headless. `--json` prints one object."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from compression import train
from compression.cifar10 import SPLITS, TEST, TRAIN, DataError, DataMissing
from compression.compress import CompressedModel, compress
from compression.data import DATA, ImageSet, load
from compression.download import download
from compression.evaluate import BATCH, Evaluation, evaluate_batches, join
from compression.models import zoo
from compression.models.architectures import ARCHITECTURES
from compression.models.checkpoint import load_checkpoint
from compression.models.normalization import NORMALIZATIONS, Normalization
from compression.models.reading import CheckpointError
from compression.operations import layer_macs
from compression.size import Size, measure
from compression.spec import (
    CompressionSpec,
    Granularity,
    LayerSpec,
    PruneSpec,
    QuantSpec,
    Scheme,
    Scope,
)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, or 2 with one sentence on what is wrong."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, DataError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m compression", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="models | data | evaluate | train")

    models = commands.add_parser("models", help="the bundled networks")
    models.set_defaults(run=run_models)

    data = commands.add_parser("data", help="which CIFAR-10 was found, and where")
    data.add_argument(
        "--download",
        nargs="?",
        const="test",
        choices=SPLITS,
        metavar="{test,train}",
        help="fetch the 10,000 test images (24 MB), or with `train` the 50,000 training images (120 MB)",
    )
    data.set_defaults(run=run_data)

    evaluation = commands.add_parser("evaluate", help="compress a network, count its bytes, measure its accuracy")
    network = evaluation.add_mutually_exclusive_group(required=True)
    network.add_argument("--model", metavar="NAME", help="a bundled network")
    network.add_argument("--checkpoint", metavar="FILE", type=Path, help="a public checkpoint")
    evaluation.add_argument("--arch", metavar="NAME", help="of the checkpoint; seen from its tensors if not given")
    evaluation.add_argument(
        "--normalization",
        metavar="NAME",
        help=f"of the checkpoint: one of {', '.join(NORMALIZATIONS)}; found by trying if not given",
    )
    evaluation.add_argument("--bits", metavar="B", type=int, help="bits a weight, 2 to 16")
    evaluation.add_argument("--scheme", metavar="S", help=f"{' or '.join(Scheme)} (default symmetric)")
    evaluation.add_argument("--granularity", metavar="G", help=f"{' or '.join(Granularity)} (default channel)")
    evaluation.add_argument("--threshold", metavar="T", type=float, help="prune the weights with |w| < T")
    evaluation.add_argument("--sparsity", metavar="S", type=float, help="prune this fraction, 0 to 1, of the weights")
    evaluation.add_argument("--scope", metavar="S", help=f"of the sparsity: {' or '.join(Scope)} (default global)")
    evaluation.add_argument(
        "--layer",
        metavar="NAME=bits:4,sparsity:0.5",
        action="append",
        default=[],
        help="what one layer does differently (bits:32 is float); may be given again for other layers",
    )
    evaluation.add_argument("--images", metavar="N", type=int, default=TEST.images, help="test images (default all)")
    evaluation.set_defaults(run=run_evaluate)

    training = commands.add_parser("train", help="train a bundled network again; killed, it resumes")
    training.add_argument("name", metavar="NAME", help=f"one of {', '.join(train.RECIPES)}")
    training.add_argument("--epochs", metavar="N", type=int, help="instead of the recipe's")
    training.add_argument("--seed", metavar="N", type=int, help="instead of the recipe's")
    training.add_argument("--out", metavar="FILE", type=Path, help="default: data/training/NAME.safetensors")
    training.set_defaults(run=run_train)

    for command in (models, data, evaluation, training):
        command.add_argument("--json", action="store_true", help="print one JSON object")
    return top


# ---- models


def run_models(options: argparse.Namespace) -> None:
    models = [zoo.load_bundled(name) for name in zoo.bundled()]
    if options.json:
        rows = [
            {
                "model": model.name,
                "parameters": model.parameters,
                "macs": sum(layer_macs(model.module).values()),
                "accuracy": model.accuracy,
                "normalization": model.normalization.name,
            }
            for model in models
        ]
        print(json.dumps({"models": rows}))
        return
    for model in models:
        macs = sum(layer_macs(model.module).values())
        print(
            f"{model.name:12} {model.parameters:>9,} parameters {macs / 1e6:7.2f} M MACs "
            f"{model.accuracy:.2%} on CIFAR-10's {TEST.images:,} test images"
        )


# ---- data


def run_data(options: argparse.Namespace) -> None:
    if options.download:
        with tqdm(unit="B", unit_scale=True, desc=f"{options.download} images") as bar:
            download(SPLITS[options.download], progress=lambda done, total: _show(bar, done, total))
    found: dict[str, Any] = {}
    problems: list[DataError] = []
    for split in SPLITS.values():
        try:
            images = load(split)
        except DataMissing as error:
            found[split.name] = {"images": 0, "problem": str(error)}
            problems += [error] if split is TEST else []
        except DataError as error:
            found[split.name] = {"images": 0, "problem": str(error)}
            problems.append(error)
        else:
            found[split.name] = {"images": len(images), "source": images.source}
    if options.json:
        print(json.dumps({"cache": str(DATA), **found}))
    else:
        for name, row in found.items():
            print(f"{name:5} " + row.get("problem", f"{row['images']:,} images, verified: {row.get('source')}"))
        print(f"cache {DATA}")
    if problems:
        raise problems[0]


def _show(bar: tqdm, done: int, total: int) -> None:
    bar.total = total
    bar.update(done - bar.n)


# ---- evaluate


def spec_from(options: argparse.Namespace, model: str) -> CompressionSpec:
    """The spec that the options describe. Raises ValueError on options that contradict each other."""
    quant = {k: v for k in ("scheme", "granularity") if (v := getattr(options, k)) is not None}
    if quant and options.bits is None:
        raise ValueError(f"--{next(iter(quant))} says how to quantize; give --bits too")
    prune = {k: v for k in ("threshold", "sparsity", "scope") if (v := getattr(options, k)) is not None}
    return CompressionSpec(
        model,
        prune=PruneSpec(**prune) if prune else None,
        weights=QuantSpec(options.bits, **quant) if options.bits is not None else None,
        layers=tuple(layer_from(text) for text in options.layer),
    )


def layer_from(text: str) -> LayerSpec:
    """ "fc=bits:4,sparsity:0.5" -> LayerSpec. Raises ValueError, with the form expected, on anything else."""
    kinds = {"bits": int, "sparsity": float}
    name, _, settings = text.partition("=")
    try:
        pairs = [pair.split(":") for pair in settings.split(",")]
        values = {key: kinds[key](value) for key, value in pairs}
    except (KeyError, ValueError):
        raise ValueError(f"--layer takes NAME=bits:4,sparsity:0.5, got {text!r}") from None
    return LayerSpec(name, **values)


def run_evaluate(options: argparse.Namespace) -> None:
    if not 1 <= options.images <= TEST.images:
        raise ValueError(f"--images must be in 1..{TEST.images:,}, got {options.images}")
    spec = spec_from(options, options.model or options.checkpoint.stem)
    model = _float_model(options)
    compressed = compress(model.module, spec)
    images = load()[: options.images]
    before = _evaluate(model.module, images, model.normalization, "float")
    after = _evaluate(compressed.module, images, model.normalization, "compressed")
    size = measure(compressed)
    if options.json:
        print(json.dumps(report(compressed, model, size, before, after)))
        return
    low, high = after.interval
    print(
        f"{spec.to_json()}\n"
        f"accuracy  {after.accuracy:.2%} of {after.total:,} test images (95 % interval {low:.2%} to {high:.2%}), "
        f"float {before.accuracy:.2%}; normalisation {model.normalization.name}\n"
        f"weights   {compressed.nonzero:,} of {compressed.weights:,} are not zero: {compressed.sparsity:.2%} sparse\n"
        f"size      {size.best.total:,} bytes ({size.best_name}), float32 {size.float32:,}: "
        f"{size.float32 / size.best.total:.2f} times smaller"
    )


def report(
    compressed: CompressedModel, model: zoo.FloatModel, size: Size, before: Evaluation, after: Evaluation
) -> dict[str, Any]:
    """What `evaluate --json` prints: accuracies in 0..1, sizes in bytes, the interval that of 95 %."""
    return {
        "model": compressed.spec.model,
        "normalization": model.normalization.name,
        "spec": dataclasses.asdict(compressed.spec),
        "images": after.total,
        "correct": after.correct,
        "accuracy": after.accuracy,
        "interval": after.interval,
        "float_accuracy": before.accuracy,
        "top5": after.top5,
        "loss": after.loss,
        "per_class": after.per_class,
        "weights": compressed.weights,
        "nonzero": compressed.nonzero,
        "sparsity": compressed.sparsity,
        "size_bytes": {
            "float32": size.float32,
            "dense": size.dense.total,
            "sparse": size.sparse.total,
            "best": size.best.total,
        },
    }


def _evaluate(module: nn.Module, images: ImageSet, normalization: Normalization, name: str) -> Evaluation:
    batches = evaluate_batches(module, images, normalization)
    bar = tqdm(batches, total=-(-len(images) // BATCH), desc=name, unit="batch", leave=False)
    return join(list(bar))


def _float_model(options: argparse.Namespace) -> zoo.FloatModel:
    if options.model:
        if options.arch or options.normalization:
            raise ValueError("--arch and --normalization belong to --checkpoint; a bundled network knows its own")
        return zoo.load_bundled(options.model)
    if options.normalization is None:
        return load_checkpoint(options.checkpoint, load(), options.arch)
    if options.normalization not in NORMALIZATIONS:
        raise ValueError(f"--normalization must be one of {', '.join(NORMALIZATIONS)}, got {options.normalization!r}")
    return load_checkpoint(options.checkpoint, NORMALIZATIONS[options.normalization], options.arch)


# ---- train


def run_train(options: argparse.Namespace) -> None:
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
    result = _evaluate(module, test, NORMALIZATIONS[recipe.normalization], "test")
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


if __name__ == "__main__":
    sys.exit(main())
