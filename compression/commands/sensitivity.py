"""`sensitivity`: what each layer costs when it alone is compressed."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress

from tqdm import tqdm

from compression.data.cifar10 import TEST
from compression.data.images import load
from compression.engine.cluster import engine
from compression.experiments.assignment import assigned
from compression.experiments.scan import IMAGES, Scanner, ScanReading
from compression.networks import library
from compression.networks.weights import weighted_layers
from compression.results.store import Store
from compression.spec import CompressionSpec, Granularity, PruneSpec, QuantSpec, Scheme, Scope
from compression.spec.recipe import to_link

BITS = "8,6,5,4,3,2"

HELP = "compress each layer alone, at each of some settings; stopped, it goes on where it was"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="NAME", required=True, help="a network that `models` lists as here")
    settings = parser.add_mutually_exclusive_group()
    settings.add_argument("--bits", metavar="B,B,...", help=f"bits a weight (default {BITS})")
    settings.add_argument("--sparsity", metavar="S,S,...", help="shares of the layer's weights to prune, 0 to 1")
    parser.add_argument("--scheme", metavar="S", help=f"with bits: {', '.join(Scheme)} (default symmetric)")
    parser.add_argument("--granularity", metavar="G", help=f"with bits: {' or '.join(Granularity)} (default channel)")
    parser.add_argument("--fold-bn", action="store_true", help="fold batch norm into the convolution before it first")
    parser.add_argument("--images", metavar="N", type=int, default=IMAGES, help=f"test images (default {IMAGES:,})")
    parser.add_argument(
        "--budget",
        metavar="B",
        type=float,
        help="also choose a setting for each layer: bits a weight on average, or the share of weights that stay",
    )


def run(options: argparse.Namespace) -> None:
    """Prints the table, as far as it is known after Ctrl-C; the same command goes on there."""
    if not 1 <= options.images <= TEST.images:
        raise ValueError(f"--images must be in 1..{TEST.images:,}, got {options.images}")
    specs = specs_from(options)
    model = library.load_network(options.model)
    scanner = Scanner(engine(), Store(), load())
    reading = _with_bar(scanner.follow(model, specs, options.images))
    weights = {name: weight.numel() for name, weight in weighted_layers(model.module).items()}
    recipe = None
    if options.budget is not None and reading.exact:
        recipe = to_link(assigned(reading, weights, options.budget))
    print((as_json if options.json else as_words)(reading, weights, recipe))
    if reading.notice:
        print(reading.notice, file=sys.stderr)
    if not reading.exact:
        raise KeyboardInterrupt


def specs_from(options: argparse.Namespace) -> tuple[CompressionSpec, ...]:
    """The settings, as if said of the whole network. Raises ValueError on options that contradict each other."""
    how = {key: value for key in ("scheme", "granularity") if (value := getattr(options, key)) is not None}
    if options.sparsity is None:
        quants = [QuantSpec(int(bits), **how) for bits in _numbers("--bits", options.bits or BITS)]
        return tuple(CompressionSpec(options.model, weights=quant, fold_bn=options.fold_bn) for quant in quants)
    if how:
        raise ValueError(f"--{next(iter(how))} says how to quantize, and --sparsity prunes")
    prunes = [PruneSpec(sparsity=each, scope=Scope.LAYER) for each in _numbers("--sparsity", options.sparsity)]
    return tuple(CompressionSpec(options.model, prune, fold_bn=options.fold_bn) for prune in prunes)


def _numbers(option: str, text: str) -> list[float]:
    try:
        numbers = [float(each) for each in text.split(",")]
    except ValueError:
        raise ValueError(f"{option} takes numbers with commas between them, got {text!r}") from None
    if option == "--bits" and not all(number.is_integer() for number in numbers):
        raise ValueError(f"--bits takes whole numbers, got {text!r}")
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{option} has a number twice: {text}")
    return numbers


def label(spec: CompressionSpec) -> str:
    """ "4 bits" or "50%"."""
    if spec.weights:
        return f"{spec.weights.bits} bits"
    return f"{spec.prune.sparsity if spec.prune else 0:.0%}"


def as_words(reading: ScanReading, weights: Mapping[str, int], recipe: str | None) -> str:
    """The change of accuracy in points, a row a layer; a dot where it is not known."""
    scan, before = reading.scan, reading.before
    if before is None:
        return "stopped before the float network was evaluated"
    width = max(map(len, scan.layers))
    lines = [
        f"float {before.accuracy:.2%} of the first {before.total:,} test images; change in points, each layer alone",
        " ".join([f"{'layer':{width}} {'weights':>9}", *(f"{label(spec):>7}" for spec in scan.specs)]),
    ]
    for layer in scan.layers:
        found = [reading.cells.get((layer, spec)) for spec in scan.specs]
        changes = [f"{100 * (cell.accuracy - before.accuracy):+7.1f}" if cell else f"{'.':>7}" for cell in found]
        lines.append(" ".join([f"{layer:{width}} {weights[layer]:9,}", *changes]))
    return "\n".join([*lines, f"chosen for the budget: {recipe}"] if recipe else lines)


def as_json(reading: ScanReading, weights: Mapping[str, int], recipe: str | None) -> str:
    """Accuracies in 0..1, losses in nats a image. `layers`: the recipe for the budget, as a link has it."""
    before = reading.before
    return json.dumps(
        {
            "model": reading.scan.specs[0].model,
            "exact": reading.exact,
            "images": reading.scan.images,
            "float_accuracy": before and before.accuracy,
            "float_loss": before and before.loss,
            "cells": [
                {
                    "layer": layer,
                    "weights": weights[layer],
                    "bits": spec.weights and spec.weights.bits,
                    "sparsity": spec.prune.sparsity if spec.prune else 0.0,
                    "correct": cell.correct,
                    "accuracy": cell.accuracy,
                    "loss": cell.loss,
                }
                for (layer, spec), cell in reading.cells.items()
            ],
            "layers": recipe,
        }
    )


def _with_bar(readings: Iterator[ScanReading]) -> ScanReading:
    """The last reading: the whole, or, after Ctrl-C, what was known by then."""
    reading = next(readings)
    form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    bar = tqdm(total=1.0, initial=reading.share, bar_format=form, desc="scan", leave=False)
    with bar, suppress(KeyboardInterrupt):
        for reading in readings:
            bar.update(reading.share - bar.n)
    return reading
