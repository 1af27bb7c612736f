"""What a command works on: the network and the spec that its options name, and how many images."""

import argparse
from dataclasses import replace

from compression.commands.shared.spec_options import OF_CHECKPOINT, first_setting, spec_from
from compression.core.record import CompressedModel
from compression.data.cifar10 import TEST
from compression.data.split import Split
from compression.evaluation.normalization_trial import load_checkpoint, trial_images
from compression.files.exported import is_packed, load_exported
from compression.files.stored import compress_network
from compression.library import catalog
from compression.networks.checkpoints.reading import read_metadata
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.spec import CompressionSpec
from compression.spec.recipe import from_json


def compressed_network(options: argparse.Namespace) -> tuple[FloatModel, CompressedModel]:
    """Returns the float network that the options name, and the same compressed as they say."""
    model, spec = network_and_spec(options)
    return model, compress_network(model, spec)


def network_and_spec(options: argparse.Namespace) -> tuple[FloatModel, CompressionSpec]:
    """Returns the float network that the options name, and its spec.

    With --recipe, the spec comes from that file, and so does the network unless --checkpoint is given.
    Raises ValueError for options that do not fit.
    """
    if options.recipe and options.model:
        raise ValueError("--recipe names its network: remove --model")
    if options.recipe:
        spec = _recipe(options)
        if options.checkpoint is None:
            return catalog.load_network(spec.model), spec
        return named_network(options), replace(spec, model=network_name(options))
    if not (options.model or options.checkpoint):
        raise ValueError("give --model, --checkpoint or --recipe")
    spec = spec_from(options, network_name(options))
    return named_network(options), spec


def image_count(count: int | None, default: int | None = None, split: Split = TEST, option: str = "--images") -> int:
    """Returns how many images of `split` to use, by default all. Raises ValueError for a `count` that it has not."""
    if count is None:
        return split.images if default is None else default
    if not 1 <= count <= split.images:
        raise ValueError(f"{option} must be in 1..{split.images:,}, got {count}")
    return count


def _recipe(options: argparse.Namespace) -> CompressionSpec:
    """Returns the spec of --recipe. Raises ValueError where another option gives a setting too."""
    if option := first_setting(options):
        raise ValueError(f"--recipe contains all settings: remove {option}, or change the recipe")
    return from_json(options.recipe.read_text("utf-8"))


def network_name(options: argparse.Namespace) -> str:
    """Returns the name of the network that --model or --checkpoint names: that of a checkpoint is its file's."""
    return options.model or options.checkpoint.stem


def named_network(options: argparse.Namespace) -> FloatModel:
    """Returns the float network that --model or --checkpoint names. Raises ValueError for options that do not fit."""
    chosen = [name for name in OF_CHECKPOINT if getattr(options, name)]
    if options.model:
        if chosen:
            raise ValueError(f"--{chosen[0]} applies to --checkpoint; a network of --model has its own")
        return catalog.load_network(options.model)
    if options.normalization is not None and options.normalization not in NORMALIZATIONS:
        raise ValueError(f"--normalization must be one of {', '.join(NORMALIZATIONS)}, got {options.normalization!r}")
    if is_packed(read_metadata(options.checkpoint)):
        if chosen:
            raise ValueError(f"--{chosen[0]} does not apply to a packed file, which states its network")
        return load_exported(options.checkpoint.read_bytes(), str(options.checkpoint), network_name(options))
    normalization = NORMALIZATIONS[options.normalization] if options.normalization else trial_images()
    return load_checkpoint(options.checkpoint, normalization, options.arch, options.entry)
