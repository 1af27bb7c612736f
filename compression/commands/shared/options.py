"""The options that `evaluate` and `export` share: which network, and what to do to it."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from compression.core.compress import compress
from compression.core.record import CompressedModel
from compression.core.training_evidence import evidence_for
from compression.data.images import load
from compression.evaluation.normalization_trial import load_checkpoint
from compression.networks import library
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.spec import (
    DEFAULT_CLIP_AT,
    GROUP_SIZE,
    ActivationSpec,
    Calibration,
    Clip,
    CompressionSpec,
    Criterion,
    Granularity,
    LayerSpec,
    Only,
    Order,
    PruneSpec,
    QuantSpec,
    Scheme,
    Scope,
    Unit,
    structure_from,
)
from compression.spec.recipe import from_json

QUANT = ("scheme", "granularity", "clip", "clip_at", "group_size", "step", "only", "skip_ends")

FIXED: dict[str | None, int] = {scheme: scheme.bits[0] for scheme in Scheme if len(scheme.bits) == 1}

PRUNING = ("threshold", "unit", "sparsity", "scope", "criterion", "seed", "structure")

SETTINGS = (
    *("arch", "normalization", "bits", "steps_per_unit", *QUANT, *PRUNING),
    *("activation_bits", "calibration", "layer", "fold_bn", "order", "merge", "reestimate_bn"),
)


def add_spec_arguments(parser: argparse.ArgumentParser) -> None:
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--model", metavar="NAME", help="a network that `models` lists as here")
    network.add_argument("--checkpoint", metavar="FILE", type=Path, help="a public checkpoint")
    network.add_argument(
        "--recipe", metavar="FILE", type=Path, help="a network and all settings, as `search` writes it"
    )
    parser.add_argument("--arch", metavar="NAME", help="of the checkpoint; seen from its tensors if not given")
    parser.add_argument(
        "--normalization",
        metavar="NAME",
        help=f"of the checkpoint: one of {', '.join(NORMALIZATIONS)}; found by trying if not given",
    )
    parser.add_argument(
        "--bits", metavar="B", type=int, help="bits a weight, 2 to 16; ternary, binary and step need none"
    )
    parser.add_argument("--scheme", metavar="S", help=f"{', '.join(Scheme)} (default symmetric)")
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--step", metavar="L", type=float, help="weights become multiples of L; the scheme is step")
    step.add_argument("--steps-per-unit", metavar="Q", type=float, help="the same as --step 1/Q")
    parser.add_argument("--granularity", metavar="G", help=f"{', '.join(Granularity)} (default channel)")
    parser.add_argument("--group-size", metavar="N", type=int, help=f"weights in a group (default {GROUP_SIZE})")
    parser.add_argument("--clip", metavar="C", help=f"the range that is covered: {', '.join(Clip)} (default full)")
    parser.add_argument(
        "--clip-at",
        metavar="X",
        type=float,
        help=f"where to cut: {', '.join(f'{clip} (default {at:g})' for clip, at in DEFAULT_CLIP_AT.items())}",
    )
    parser.add_argument("--only", metavar="KIND", help=f"quantize no other layers than {' or '.join(Only)}")
    parser.add_argument("--skip-ends", action="store_true", help="the first and the last layer stay float")
    parser.add_argument("--activation-bits", metavar="B", type=int, help="bits an input of a layer, 2 to 16")
    parser.add_argument(
        "--calibration",
        metavar="C",
        help=f"the range of inputs that is covered: {', '.join(Calibration)} (default min-max)",
    )
    parser.add_argument("--threshold", metavar="T", type=float, help="prune what scores less, by default |w| < T")
    parser.add_argument("--unit", metavar="U", help=f"of the threshold: {', '.join(Unit)} (default absolute)")
    parser.add_argument(
        "--sparsity", metavar="S", type=float, help="prune this fraction, 0 to 1, of the weights or filters"
    )
    parser.add_argument("--scope", metavar="S", help=f"of the sparsity: {' or '.join(Scope)} (default global)")
    parser.add_argument("--criterion", metavar="C", help=f"what is pruned first: {', '.join(Criterion)} (default l1)")
    parser.add_argument("--seed", metavar="N", type=int, help="of the criterion random (default 0)")
    parser.add_argument(
        "--structure", metavar="S", help="what goes as one: weight, filter, or N:M as 2:4 (default weight)"
    )
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
    parser.add_argument(
        "--order", metavar="O", help=f"of folding and quantizing: {' or '.join(Order)} (default fold-first)"
    )
    parser.add_argument(
        "--merge",
        metavar="SHARE",
        type=float,
        help="merge this share, 0 to 1, of the filters of each layer (--fold-bn)",
    )
    parser.add_argument(
        "--reestimate-bn", action="store_true", help="take batch norm's statistics anew, on 1,000 training images"
    )


def compressed_from(options: argparse.Namespace) -> tuple[FloatModel, CompressedModel]:
    """The float network that the options name, and what they make of it."""
    model, spec = wanted(options)
    return model, compress(model.module, spec, evidence_for(model, spec))


def wanted(options: argparse.Namespace) -> tuple[FloatModel, CompressionSpec]:
    """The float network that the options name, and what to do to it, both from a recipe if there is one."""
    if options.recipe:
        spec = _recipe(options)
        return library.load_network(spec.model), spec
    spec = spec_from(options, options.model or options.checkpoint.stem)
    return replace(float_model(options), name=spec.model), spec


def _recipe(options: argparse.Namespace) -> CompressionSpec:
    """Raises ValueError where options say something beside it."""
    said = (name for name in SETTINGS if not any(getattr(options, name) is nothing for nothing in (None, False)))
    if other := next((name for name in said if getattr(options, name) != []), None):
        raise ValueError(f"--recipe says all settings itself, and --{other.replace('_', '-')} is beside it")
    return from_json(options.recipe.read_text("utf-8"))


def spec_from(options: argparse.Namespace, model: str) -> CompressionSpec:
    """The spec that the options describe. Raises ValueError on options that contradict each other."""
    if options.calibration is not None and options.activation_bits is None:
        raise ValueError("--calibration says how to quantize activations; give --activation-bits too")
    activations = {"bits": options.activation_bits, "calibration": options.calibration or Calibration.MIN_MAX}
    prune = {k: v for k in PRUNING if (v := getattr(options, k)) is not None}
    if "structure" in prune:
        prune["structure"], prune["pattern"] = structure_from(prune["structure"])
    spec = CompressionSpec(
        model,
        prune=PruneSpec(**prune) if prune else None,
        weights=_weights(options),
        layers=tuple(layer_from(text) for text in options.layer),
        fold_bn=options.fold_bn,
        activations=ActivationSpec(**activations) if options.activation_bits is not None else None,
        order=options.order or Order.FOLD_FIRST,
        merge=options.merge,
        reestimate_bn=options.reestimate_bn,
    )
    if options.order and not (spec.fold_bn and spec.quantizes_weights):
        raise ValueError("--order is that of folding and quantizing weights; give --fold-bn and --bits too")
    return spec


def _weights(options: argparse.Namespace) -> QuantSpec | None:
    quant: dict[str, Any] = {key: value for key in QUANT if (value := getattr(options, key)) not in (None, False)}
    if options.steps_per_unit is not None:
        if not options.steps_per_unit > 0:
            raise ValueError(f"--steps-per-unit must be a number above 0, got {options.steps_per_unit}")
        quant["step"] = 1 / options.steps_per_unit
    if "step" in quant:
        quant.setdefault("scheme", Scheme.STEP)
    if "granularity" in quant and quant.get("scheme") == Scheme.STEP:
        raise ValueError("--granularity says whose scale is shared; with a step there is one for the network")
    bits = FIXED.get(quant.get("scheme")) if options.bits is None else options.bits
    if bits is not None:
        return QuantSpec(bits, **quant)
    if quant:
        raise ValueError(f"--{next(iter(quant)).replace('_', '-')} says how to quantize; give --bits too")
    return None


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


def float_model(options: argparse.Namespace) -> FloatModel:
    if options.model:
        if options.arch or options.normalization:
            raise ValueError("--arch and --normalization belong to --checkpoint; a network with a name knows its own")
        return library.load_network(options.model)
    if options.normalization is None:
        return load_checkpoint(options.checkpoint, load(), options.arch)
    if options.normalization not in NORMALIZATIONS:
        raise ValueError(f"--normalization must be one of {', '.join(NORMALIZATIONS)}, got {options.normalization!r}")
    return load_checkpoint(options.checkpoint, NORMALIZATIONS[options.normalization], options.arch)
