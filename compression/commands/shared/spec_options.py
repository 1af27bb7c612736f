"""The options that describe a network and its compression, and the CompressionSpec that they give. Without torch."""

import argparse
from pathlib import Path
from typing import Any

from compression.spec import (
    DEFAULT_CLIP_AT,
    GROUP_SIZE,
    RATE_PENALTY,
    SAMPLE_IMAGES,
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
    Rounding,
    Scheme,
    Scope,
    Unit,
    VectorFormat,
    structure_from,
)
from compression.spec.checks import member

FOLD_BN = "fold batch norm into the preceding convolution first, as for deployment"

QUANT = ("scheme", "granularity", "clip", "clip_at", "group_size", "step", "only", "skip_ends")

FIXED: dict[str | None, int] = {scheme: scheme.bits[0] for scheme in Scheme if len(scheme.bits) == 1}

PRUNING = ("threshold", "unit", "sparsity", "scope", "criterion", "seed", "structure")

OF_CHECKPOINT = ("arch", "normalization", "entry")

RECOVERY = (
    *("rounding", "rate_penalty", "reconstruct", "repair_activations", "correct_bias", "equalize"),
    "sample_images",
)

SETTINGS = (
    *(*OF_CHECKPOINT, "bits", "steps_per_unit", *QUANT, *PRUNING),
    *("activation_bits", "calibration", "layer", "fold_bn", "order", "merge"),
    *("reestimate_bn", "vector_format", *RECOVERY),
)


def add_spec_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `evaluate`, `export` and `latency`: which network, and how it is compressed."""
    add_network_arguments(parser, parser.add_mutually_exclusive_group())
    parser.add_argument(
        "--recipe",
        metavar="FILE",
        type=Path,
        help="a recipe: the network and all settings, as `search` writes it; with --checkpoint, for that network",
    )
    _add_quantization(parser)
    _add_pruning(parser)
    _add_others(parser)


def add_network_arguments(parser: argparse.ArgumentParser, network: Any, models: str = "NAME") -> None:
    """Adds the options that name a network: one of them to the group `network`, and what a checkpoint may need."""
    one = "name of a bundled or fetched network, which `models` lists, or untrained:ARCHITECTURE"
    several = "names of networks, separated by commas; `models` lists them"
    network.add_argument("--model", metavar=models, help=several if "," in models else one)
    network.add_argument("--checkpoint", metavar="FILE", type=Path, help="a checkpoint file (PyTorch or safetensors)")
    parser.add_argument(
        "--arch", metavar="NAME", help="architecture of the checkpoint (default: recognized from its tensors)"
    )
    parser.add_argument(
        "--normalization",
        metavar="NAME",
        help="input normalization of the checkpoint: imagenet, cifar10, cifar10-small-std, half or none (default: each "
        "is tried on images)",
    )
    parser.add_argument(
        "--entry",
        metavar="NAME",
        help="where the weights are in the checkpoint, such as model_ema, or a prefix of their names such as teacher "
        "(default: the likeliest)",
    )


def _add_quantization(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--bits", metavar="B", type=int, help="bits per weight, 2 to 16; ternary, binary and step need none")
    add("--scheme", metavar="S", help=f"quantization scheme: {', '.join(Scheme)} (default: symmetric)")
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--step", metavar="L", type=float, help="scheme step: weights become multiples of L")
    step.add_argument("--steps-per-unit", metavar="Q", type=float, help="the same as --step 1/Q")
    add("--granularity", metavar="G", help=f"quantization granularity: per {', '.join(Granularity)} (default: channel)")
    add("--group-size", metavar="N", type=int, help=f"weights per group (default: {GROUP_SIZE})")
    add("--clip", metavar="C", help=f"clipping range: {', '.join(Clip)} (default: full)")
    clips = ", ".join(f"{clip} (default: {at:g})" for clip, at in DEFAULT_CLIP_AT.items())
    add("--clip-at", metavar="X", type=float, help=f"where the clipping range ends, for {clips}")
    add("--only", metavar="KIND", help=f"quantize only layers of this kind: {' or '.join(Only)}")
    add("--skip-ends", action="store_true", help="keep the weights of the first and the last layer in float")
    add("--activation-bits", metavar="B", type=int, help="bits of the inputs of layers, 2 to 16")
    add(
        "--calibration",
        metavar="C",
        help=f"how the range of layer inputs is chosen: {', '.join(Calibration)} (default: min-max)",
    )


def _add_pruning(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--threshold", metavar="T", type=float, help="prune weights whose score, by default |w|, is below T")
    add("--unit", metavar="U", help=f"unit of the threshold: {', '.join(Unit)} (default: absolute)")
    add("--sparsity", metavar="S", type=float, help="prune this share, 0 to 1, of the weights or filters")
    add("--scope", metavar="S", help=f"pruning scope of the sparsity: {' or '.join(Scope)} (default: global)")
    add(
        "--criterion",
        metavar="C",
        help=f"importance criterion, lowest score pruned first: {', '.join(Criterion)} (default: l1)",
    )
    add("--seed", metavar="N", type=int, help="seed of the criterion random (default: 0)")
    add("--structure", metavar="S", help="pruning granularity: weight, filter, or n:m such as 2:4 (default: weight)")


def _add_others(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--layer",
        metavar="NAME=bits:4,sparsity:0.5",
        action="append",
        default=[],
        help="settings of one layer (bits:32 keeps it and its inputs in float); may be repeated for other layers",
    )
    add("--fold-bn", action="store_true", help=FOLD_BN)
    add("--order", metavar="O", help=f"order of folding and quantizing: {' or '.join(Order)} (default: fold-first)")
    add(
        "--merge",
        metavar="SHARE",
        type=float,
        help="merge this share, 0 to 1, of the filters of each layer with similar ones; needs --fold-bn",
    )
    add(
        "--reestimate-bn",
        action="store_true",
        help="re-estimate the batch norm statistics on training images after compression",
    )
    add(
        "--vector-format",
        metavar="F",
        help=f"how biases and batch norm are stored and evaluated: {', '.join(VectorFormat)} (default: float32)",
    )
    add_recovery_arguments(parser)


def add_recovery_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that give accuracy back without training; all but --equalize need training images."""
    add = parser.add_argument
    add(
        "--rounding",
        metavar="R",
        help=f"how weights are rounded: {', '.join(Rounding)} (default: nearest). The others keep the outputs of "
        "layers on training images",
    )
    add(
        "--rate-penalty",
        type=float,
        metavar="P",
        help="for --rounding rate-aware, how much error of the outputs of layers a bit per weight is worth; more means "
        f"fewer bytes (default: {RATE_PENALTY})",
    )
    add("--reconstruct", action="store_true", help="move the weights that pruning keeps so that outputs of layers stay")
    add("--repair-activations", action="store_true", help="give each output channel its mean and its spread back")
    add("--correct-bias", action="store_true", help="give each output channel its mean back")
    add(
        "--equalize",
        action="store_true",
        help="rescale channels between two layers so that both use their ranges equally; needs --fold-bn",
    )
    add(
        "--sample-images",
        metavar="N",
        type=int,
        help="how many training images these steps, and --reestimate-bn, see; more take longer and more memory, and "
        f"help wide layers (default: {SAMPLE_IMAGES:,})",
    )


def recovery_from(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the fields of a CompressionSpec that the options of `add_recovery_arguments` set.

    Raises ValueError for a rounding that does not exist, or a penalty without the rounding that has it.
    """
    if options.rate_penalty is not None and options.rounding != Rounding.RATE_AWARE:
        raise ValueError("--rate-penalty applies to one rounding: add --rounding rate-aware")
    steps = {name: value for name in RECOVERY if _is_given(value := getattr(options, name))}
    return steps | {"rounding": member(Rounding, options.rounding)} if options.rounding else steps


def first_setting(options: argparse.Namespace) -> str | None:
    """Returns the first option of SETTINGS that was given, such as "--bits", or None; not those of a checkpoint."""
    for name in SETTINGS:
        if options.checkpoint and name in OF_CHECKPOINT:
            continue
        if _is_given(getattr(options, name)):
            return _option(name)
    return None


def _is_given(value: object) -> bool:
    """Whether the value of an option differs from that of an option that was left out; 0 does."""
    return value is not None and value is not False and value != []


def spec_from(options: argparse.Namespace, model: str) -> CompressionSpec:
    """Returns the spec that the options describe. Raises ValueError for options that contradict each other."""
    if options.calibration is not None and options.activation_bits is None:
        raise ValueError("--calibration applies to quantized activations: add --activation-bits")
    activations = {"bits": options.activation_bits, "calibration": options.calibration or Calibration.MIN_MAX}
    prune = {name: value for name in PRUNING if (value := getattr(options, name)) is not None}
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
        vector_format=member(VectorFormat, options.vector_format or VectorFormat.FLOAT32),
        **recovery_from(options),
    )
    _check_rounding(options, spec)
    if options.order and not (spec.fold_bn and spec.quantizes_weights):
        raise ValueError("--order is the order of folding and quantizing weights: add --fold-bn and --bits")
    return spec


def _check_rounding(options: argparse.Namespace, spec: CompressionSpec) -> None:
    """Raises ValueError for options that have no effect on `spec`."""
    if options.rounding and not spec.quantizes_weights:
        raise ValueError("--rounding applies to quantized weights: add --bits")
    if options.reconstruct and not spec.prunes:
        raise ValueError("--reconstruct moves the weights that pruning keeps: add --sparsity or another way to prune")
    if options.sample_images is not None and not spec.needs_sample:
        raise ValueError("--sample-images applies to steps that see training images: add --rounding or --reestimate-bn")


def _weights(options: argparse.Namespace) -> QuantSpec | None:
    quant: dict[str, Any] = {name: value for name in QUANT if (value := getattr(options, name)) not in (None, False)}
    if options.steps_per_unit is not None:
        if not options.steps_per_unit > 0:
            raise ValueError(f"--steps-per-unit must be a number above 0, got {options.steps_per_unit}")
        quant["step"] = 1 / options.steps_per_unit
    if "step" in quant:
        quant.setdefault("scheme", Scheme.STEP)
    if "granularity" in quant and quant.get("scheme") == Scheme.STEP:
        raise ValueError("--granularity does not apply to the scheme step, whose step is one for the whole network")
    bits = FIXED.get(quant.get("scheme")) if options.bits is None else options.bits
    if bits is not None:
        return QuantSpec(bits, **quant)
    if quant:
        raise ValueError(f"{_option(next(iter(quant)))} applies to quantized weights: add --bits")
    return None


def layer_from(text: str) -> LayerSpec:
    """ "fc=bits:4,sparsity:0.5" -> LayerSpec. Raises ValueError, with the form expected, for anything else."""
    kinds = {"bits": int, "sparsity": float}
    name, _, settings = text.partition("=")
    try:
        pairs = [pair.split(":") for pair in settings.split(",")]
        values = {key: kinds[key](value) for key, value in pairs}
    except (KeyError, ValueError):
        raise ValueError(f"--layer must be of the form NAME=bits:4,sparsity:0.5, got {text!r}") from None
    return LayerSpec(name, **values)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
