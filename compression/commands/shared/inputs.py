"""What a command works on: the network and the spec that its options name, and how many images."""

import argparse
from dataclasses import replace

from compression.commands.shared.spec_options import first_setting, spec_from
from compression.core.compress import compress
from compression.core.record import CompressedModel
from compression.core.training_evidence import evidence_for
from compression.data.cifar10 import TEST
from compression.evaluation.normalization_trial import load_checkpoint, trial_images
from compression.networks import library
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.spec import CompressionSpec
from compression.spec.recipe import from_json


def compressed_network(options: argparse.Namespace) -> tuple[FloatModel, CompressedModel]:
    """Returns the float network that the options name, and the same compressed as they say."""
    model, spec = network_and_spec(options)
    return model, compress(model.module, spec, evidence_for(model, spec))


def network_and_spec(options: argparse.Namespace) -> tuple[FloatModel, CompressionSpec]:
    """Returns the float network that the options name, and its spec; with --recipe, both come from that file."""
    if options.recipe:
        spec = _recipe(options)
        return library.load_network(spec.model), spec
    spec = spec_from(options, options.model or options.checkpoint.stem)
    return replace(_float_model(options), name=spec.model), spec


def image_count(count: int | None, default: int = TEST.images) -> int:
    """Returns how many test images to evaluate. Raises ValueError for a `count` that is not in 1..10,000."""
    if count is None:
        return default
    if not 1 <= count <= TEST.images:
        raise ValueError(f"--images must be in 1..{TEST.images:,}, got {count}")
    return count


def _recipe(options: argparse.Namespace) -> CompressionSpec:
    """Returns the spec of --recipe. Raises ValueError where another option gives a setting too."""
    if option := first_setting(options):
        raise ValueError(f"--recipe contains all settings: remove {option}, or change the recipe")
    return from_json(options.recipe.read_text("utf-8"))


def _float_model(options: argparse.Namespace) -> FloatModel:
    if options.model:
        if options.arch or options.normalization:
            raise ValueError("--arch and --normalization apply to --checkpoint; a network of --model has its own")
        return library.load_network(options.model)
    if options.normalization is None:
        return load_checkpoint(options.checkpoint, trial_images(), options.arch)
    if options.normalization not in NORMALIZATIONS:
        raise ValueError(f"--normalization must be one of {', '.join(NORMALIZATIONS)}, got {options.normalization!r}")
    return load_checkpoint(options.checkpoint, NORMALIZATIONS[options.normalization], options.arch)
