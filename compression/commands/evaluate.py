"""`evaluate`: a network compressed, its bytes counted, its accuracy measured."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from compression.cifar10 import TEST
from compression.commands.bars import evaluate_with_bar
from compression.compress import CompressedModel, compress
from compression.data import load
from compression.evaluate import Evaluation
from compression.models import library
from compression.models.checkpoint import TRIAL_IMAGES, load_checkpoint
from compression.models.normalization import NORMALIZATIONS
from compression.models.zoo import FloatModel
from compression.size import Size, measure
from compression.spec import CompressionSpec, Granularity, LayerSpec, PruneSpec, QuantSpec, Scheme, Scope

HELP = "compress a network, count its bytes, measure its accuracy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--model", metavar="NAME", help="a network that `models` lists as here")
    network.add_argument("--checkpoint", metavar="FILE", type=Path, help="a public checkpoint")
    parser.add_argument("--arch", metavar="NAME", help="of the checkpoint; seen from its tensors if not given")
    parser.add_argument(
        "--normalization",
        metavar="NAME",
        help=f"of the checkpoint: one of {', '.join(NORMALIZATIONS)}; found by trying if not given",
    )
    parser.add_argument("--bits", metavar="B", type=int, help="bits a weight, 2 to 16")
    parser.add_argument("--scheme", metavar="S", help=f"{' or '.join(Scheme)} (default symmetric)")
    parser.add_argument("--granularity", metavar="G", help=f"{' or '.join(Granularity)} (default channel)")
    parser.add_argument("--threshold", metavar="T", type=float, help="prune the weights with |w| < T")
    parser.add_argument("--sparsity", metavar="S", type=float, help="prune this fraction, 0 to 1, of the weights")
    parser.add_argument("--scope", metavar="S", help=f"of the sparsity: {' or '.join(Scope)} (default global)")
    parser.add_argument(
        "--layer",
        metavar="NAME=bits:4,sparsity:0.5",
        action="append",
        default=[],
        help="what one layer does differently (bits:32 is float); may be given again for other layers",
    )
    parser.add_argument(
        "--fold-bn", action="store_true", help="fold batch norm into the convolution before it first, as for deployment"
    )
    parser.add_argument("--images", metavar="N", type=int, default=TEST.images, help="test images (default all)")


def run(options: argparse.Namespace) -> None:
    if not 1 <= options.images <= TEST.images:
        raise ValueError(f"--images must be in 1..{TEST.images:,}, got {options.images}")
    spec = spec_from(options, options.model or options.checkpoint.stem)
    model = _float_model(options)
    compressed = compress(model.module, spec)
    images = load()[: options.images]
    before = evaluate_with_bar(model.module, images, model.normalization, "float")
    after = evaluate_with_bar(compressed.module, images, model.normalization, "compressed")
    size = measure(compressed)
    if options.json:
        print(json.dumps(report(compressed, model, size, before, after)))
        return
    low, high = after.interval
    print(
        f"{spec.to_json()}\n"
        f"{_recognised(model)}"
        f"accuracy  {after.accuracy:.2%} of {after.total:,} test images (95 % interval {low:.2%} to {high:.2%}), "
        f"float {before.accuracy:.2%}; normalisation {model.normalization.name}\n"
        f"weights   {compressed.nonzero:,} of {compressed.weights:,} are not zero: {compressed.sparsity:.2%} sparse\n"
        f"size      {size.best.total:,} bytes ({size.best_name}), float32 {size.float32:,}: "
        f"{size.float32 / size.best.total:.2f} times smaller"
    )


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
        fold_bn=options.fold_bn,
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


def report(
    compressed: CompressedModel, model: FloatModel, size: Size, before: Evaluation, after: Evaluation
) -> dict[str, Any]:
    """What `evaluate --json` prints: accuracies in 0..1, sizes in bytes, the interval that of 95 %.

    Of weights from elsewhere also what was `recognised`, and how each normalisation that was `tried` did.
    """
    return {
        "model": compressed.spec.model,
        "normalization": model.normalization.name,
        **{key: model.about[key] for key in ("recognised", "tried") if key in model.about},
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


def _recognised(model: FloatModel) -> str:
    """Lines on weights from elsewhere: which network they are, and how the normalisations did that were tried."""
    lines = ""
    if "recognised" in model.about:
        lines += f"network   {model.about['recognised']}\n"
    if "tried" in model.about:
        trials = (f"{t['normalization']} {t['accuracy']:.2%} (loss {t['loss']:.3f})" for t in model.about["tried"])
        lines += f"tried     {', '.join(trials)} on {TRIAL_IMAGES} test images; the lowest loss counts\n"
    return lines


def _float_model(options: argparse.Namespace) -> FloatModel:
    if options.model:
        if options.arch or options.normalization:
            raise ValueError("--arch and --normalization belong to --checkpoint; a network with a name knows its own")
        return library.load(options.model)
    if options.normalization is None:
        return load_checkpoint(options.checkpoint, load(), options.arch)
    if options.normalization not in NORMALIZATIONS:
        raise ValueError(f"--normalization must be one of {', '.join(NORMALIZATIONS)}, got {options.normalization!r}")
    return load_checkpoint(options.checkpoint, NORMALIZATIONS[options.normalization], options.arch)
