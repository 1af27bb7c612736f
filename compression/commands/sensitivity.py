"""`sensitivity`: measures what compressing each layer alone costs."""

import argparse
from collections.abc import Mapping

from compression.commands.shared.arguments import BITS
from compression.commands.shared.inputs import image_count, named_network, network_name
from compression.commands.shared.json_text import to_json
from compression.commands.shared.progress import end, follow_share
from compression.data.images import load
from compression.engine.cluster import engine
from compression.experiments.assignment import assign
from compression.experiments.scan import IMAGES, ScanReading
from compression.experiments.scanner import Scanner
from compression.library.catalog import base_word
from compression.networks.weights import weighted_layers
from compression.results.store import Store
from compression.spec import CompressionSpec, PruneSpec, QuantSpec, Scope
from compression.spec.recipe import to_link


def run(options: argparse.Namespace) -> None:
    """Prints the table, after Ctrl-C as far as it is known; the same command resumes there."""
    images = image_count(options.images, IMAGES)
    specs = specs_from(options)
    model = named_network(options)
    scanner = Scanner(engine(), Store(), load())
    reading = follow_share(scanner.follow(model, specs, images), "scan")
    weights = {name: weight.numel() for name, weight in weighted_layers(model.module).items()}
    recipe = None
    if options.budget is not None and reading.done:
        recipe = to_link(assign(reading, weights, options.budget))
    words = as_json(reading, weights, recipe) if options.json else as_words(reading, weights, recipe, base_word(model))
    print(words)
    end(reading.notice, reading.done)


def specs_from(options: argparse.Namespace) -> tuple[CompressionSpec, ...]:
    """Returns the settings to try, as specs of the whole network. Raises ValueError for options that do not fit."""
    name = network_name(options)
    how = {key: value for key in ("scheme", "granularity") if (value := getattr(options, key)) is not None}
    if options.sparsity is None:
        quants = [QuantSpec(int(bits), **how) for bits in _numbers("--bits", options.bits or BITS)]
        return tuple(CompressionSpec(name, weights=quant, fold_bn=options.fold_bn) for quant in quants)
    if how:
        raise ValueError(f"--{next(iter(how))} applies to --bits, not to --sparsity")
    prunes = [PruneSpec(sparsity=each, scope=Scope.LAYER) for each in _numbers("--sparsity", options.sparsity)]
    return tuple(CompressionSpec(name, prune, fold_bn=options.fold_bn) for prune in prunes)


def _numbers(option: str, text: str) -> list[float]:
    try:
        numbers = [float(each) for each in text.split(",")]
    except ValueError:
        raise ValueError(f"{option} must be numbers separated by commas, got {text!r}") from None
    if option == "--bits" and not all(number.is_integer() for number in numbers):
        raise ValueError(f"--bits must be whole numbers, got {text!r}")
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{option} repeats a number: {text}")
    return numbers


def label(spec: CompressionSpec) -> str:
    """Returns the head of a column: "4 bits" or "50%"."""
    if spec.weights:
        return f"{spec.weights.bits} bits"
    return f"{spec.prune.sparsity if spec.prune else 0:.0%}"


def as_words(reading: ScanReading, weights: Mapping[str, int], recipe: str | None, base: str) -> str:
    """Returns a table with a row per layer: the change of accuracy in percentage points, a dot where it is unknown."""
    scan, before = reading.scan, reading.before
    if before is None:
        return f"stopped before the {base} network was evaluated"
    width = max(map(len, scan.layers))
    lines = [
        f"{base} {before.accuracy:.2%} on the first {before.total:,} test images; change in percentage points, "
        "each layer compressed alone",
        " ".join([f"{'layer':{width}} {'weights':>9}", *(f"{label(spec):>7}" for spec in scan.specs)]),
    ]
    for layer in scan.layers:
        cells = [reading.cells.get((layer, spec)) for spec in scan.specs]
        changes = [f"{100 * (cell.accuracy - before.accuracy):+7.1f}" if cell else f"{'.':>7}" for cell in cells]
        lines.append(" ".join([f"{layer:{width}} {weights[layer]:9,}", *changes]))
    return "\n".join([*lines, f"chosen for the budget: {recipe}"] if recipe else lines)


def as_json(reading: ScanReading, weights: Mapping[str, int], recipe: str | None) -> str:
    """Returns accuracies in 0..1 and losses in nats per image; `layers` is the recipe for the budget, as in a link."""
    before = reading.before
    return to_json(
        {
            "model": reading.scan.specs[0].model,
            "exact": reading.done,
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
