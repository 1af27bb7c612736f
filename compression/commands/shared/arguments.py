"""The options of every command. They import the standard library alone, so that `--help` answers at once.

A default that belongs to code which imports torch is None here, and that code fills it in. Where the help quotes such a
value, a test compares the two.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from compression.commands.shared.recipe_options import add_penalty_arguments, add_training_arguments
from compression.commands.shared.spec_options import (
    FOLD_BN,
    add_network_arguments,
    add_recovery_arguments,
    add_spec_arguments,
)
from compression.spec import AUTOMATIC_SCHEMES, Granularity, Scheme, Scope, Structure

INSPECTIONS = ("flips", "calibration", "image", "layers", "corruptions", "bitflips")

BITS = "8,6,5,4,3,2"

IMAGES = "number of test images (default: all)"


class Command(NamedTuple):
    """What a command does, in one line, and the function that adds its options to a parser."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]


def parser(description: str | None = None) -> argparse.ArgumentParser:
    """Returns the parser of the whole command line; `command` of its result is the name of the command."""
    top = argparse.ArgumentParser(prog="python -m compression", description=description)
    commands = top.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, command in COMMANDS.items():
        options = commands.add_parser(name, help=command.help, description=command.help)
        command.add_arguments(options)
        options.add_argument("--json", action="store_true", help="print one JSON object")
    return top


def _models(options: argparse.ArgumentParser) -> None:
    options.add_argument("--fetch", metavar="NAME", help="download a public network, once, into data/models")


def _data(options: argparse.ArgumentParser) -> None:
    options.add_argument(
        "--download",
        nargs="?",
        const="test",
        choices=("test", "train"),
        metavar="{test,train}",
        help="download the 10,000 test images (24 MB), or with `train` the 50,000 training images (120 MB)",
    )


def _evaluate(options: argparse.ArgumentParser) -> None:
    add_spec_arguments(options)
    options.add_argument("--images", metavar="N", type=int, help=IMAGES)


def _inspect(options: argparse.ArgumentParser) -> None:
    options.add_argument("what", choices=INSPECTIONS, help="what to look at")
    options.add_argument(
        "--image", metavar="N", type=int, default=0, help="with `image`: its number in canonical order (default: 0)"
    )
    options.add_argument(
        "--curve", action="store_true", help="with `calibration`: at other bits per weight and other sparsities instead"
    )
    add_spec_arguments(options)
    options.add_argument(
        "--images",
        metavar="N",
        type=int,
        help="number of test images (default: all; with `layers` 100, with `corruptions` and `bitflips` 1,000)",
    )


def _export(options: argparse.ArgumentParser) -> None:
    add_spec_arguments(options)
    options.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        required=True,
        help="the file to write. The end of its name chooses the format: .state.safetensors (state dict), .safetensors "
        "(packed), .int8-chain.onnx, .int8.onnx, .onnx or .json (recipe)",
    )


def _sensitivity(options: argparse.ArgumentParser) -> None:
    add_network_arguments(options, options.add_mutually_exclusive_group(required=True))
    settings = options.add_mutually_exclusive_group()
    settings.add_argument("--bits", metavar="B,B,...", help=f"bits per weight (default: {BITS})")
    settings.add_argument("--sparsity", metavar="S,S,...", help="shares of the layer's weights to prune, 0 to 1")
    options.add_argument(
        "--scheme", metavar="S", help=f"quantization scheme, with --bits: {', '.join(Scheme)} (default: symmetric)"
    )
    options.add_argument(
        "--granularity",
        metavar="G",
        help=f"quantization granularity, with --bits: per {' or '.join(Granularity)} (default: channel)",
    )
    options.add_argument("--fold-bn", action="store_true", help=FOLD_BN)
    options.add_argument("--images", metavar="N", type=int, help="number of test images (default: 1,000)")
    options.add_argument(
        "--budget",
        metavar="B",
        type=float,
        help="also choose a setting for each layer that keeps to this average: bits per weight, or with --sparsity the "
        "density (share of weights kept)",
    )


def _sweep(options: argparse.ArgumentParser) -> None:
    add_network_arguments(options, options.add_mutually_exclusive_group(), "NAME,...")
    options.add_argument(
        "--bits",
        metavar="B,...",
        default=f"float,{BITS}",
        help=f"bits per weight, or float (default: float,{BITS})",
    )
    options.add_argument(
        "--scheme",
        metavar="S,...",
        default=Scheme.SYMMETRIC,
        help=f"quantization schemes: {', '.join(AUTOMATIC_SCHEMES)} (default: symmetric)",
    )
    options.add_argument(
        "--granularity",
        metavar="G,...",
        default=Granularity.CHANNEL,
        help=f"quantization granularities: per {', '.join(Granularity)} (default: channel)",
    )
    options.add_argument("--sparsity", metavar="S,...", default="0", help="shares to prune, 0 to 1 (default: 0)")
    options.add_argument(
        "--structure",
        metavar="S,...",
        default=Structure.WEIGHT,
        help="pruning granularities: weight, filter, or n:m such as 2:4 (default: weight)",
    )
    options.add_argument(
        "--scope", default=Scope.GLOBAL, help=f"pruning scope of a sparsity: {' or '.join(Scope)} (default: global)"
    )
    options.add_argument("--fold-bn", action="store_true", help=FOLD_BN)
    add_recovery_arguments(options)
    options.add_argument(
        "--specs", metavar="FILE", type=Path, help="a file with one recipe per line, as JSON, instead of the grid"
    )
    options.add_argument("--images", metavar="N", type=int, help=IMAGES)
    options.add_argument("--out", metavar="FILE", type=Path, required=True, help="the table to write, .parquet or .csv")


def _search(options: argparse.ArgumentParser) -> None:
    add_network_arguments(options, options.add_mutually_exclusive_group(required=True))
    goal = options.add_mutually_exclusive_group(required=True)
    goal.add_argument(
        "--drop", metavar="X", type=float, help="find the smallest file that loses at most X percentage points"
    )
    goal.add_argument(
        "--bytes", metavar="Y", type=int, help="find the most accurate network whose file has at most Y bytes"
    )
    options.add_argument("--trials", metavar="N", type=int, help="number of settings to try (default: 150)")
    options.add_argument("--seed", metavar="S", type=int, default=0, help="seed of the search (default: 0)")
    add_recovery_arguments(options)
    options.add_argument(
        "--out", metavar="FILE", type=Path, help="write the winner's recipe, which other commands take as --recipe"
    )


def _latency(options: argparse.ArgumentParser) -> None:
    _evaluate(options)
    options.add_argument(
        "--threads", metavar="N", type=int, default=1, help="number of threads of ONNX Runtime (default: 1)"
    )
    options.add_argument(
        "--fewer-filters",
        action="store_true",
        help="also a network with half of the filters of each layer, not retrained, if no filters are pruned",
    )


def _train(options: argparse.ArgumentParser) -> None:
    options.add_argument("name", metavar="NAME", help="one of cnn3, mobilenetv2, resnet20, simple_cnn, vgg")
    options.add_argument("--epochs", metavar="N", type=int, help="number of epochs (default: as in the recipe)")
    options.add_argument("--seed", metavar="N", type=int, help="seed of training (default: as in the recipe)")
    options.add_argument(
        "--out", metavar="FILE", type=Path, help="the file to write (default: data/training/NAME.safetensors)"
    )


def _recover(options: argparse.ArgumentParser) -> None:
    add_spec_arguments(options)
    add_training_arguments(options)
    add_penalty_arguments(options)
    options.add_argument("--training-seed", metavar="N", type=int, default=0, help="seed of training (default: 0)")
    options.add_argument("--training-images", metavar="N", type=int, help="number of training images (default: all)")
    options.add_argument(
        "--out", metavar="FILE", type=Path, required=True, help="the packed file to write, .safetensors"
    )


def _calibrate(options: argparse.ArgumentParser) -> None:
    options.add_argument("name", metavar="NAME", nargs="?", help="one bundled network (default: all)")


def _landscape(options: argparse.ArgumentParser) -> None:
    options.add_argument("--model", metavar="NAME", help="one network that comes with the project (default: all)")
    options.add_argument(
        "--again",
        action="store_true",
        help="measure all settings, also those whose committed results have the weights, images, code and version of "
        "torch of now",
    )


COMMANDS = {
    "models": Command("list the networks, and download public ones", _models),
    "data": Command("show which copy of CIFAR-10 is used, and download it", _data),
    "evaluate": Command("compress a network, count its bytes and measure its accuracy", _evaluate),
    "inspect": Command(
        "look inside a compressed network: which images it loses, how sure it is, and where it looks", _inspect
    ),
    "export": Command("compress a network and write it to a file, which is read again and verified", _export),
    "sensitivity": Command("measure what compressing each layer alone costs (resumes after a stop)", _sensitivity),
    "sweep": Command("evaluate a grid of settings into a table (resumes after a stop)", _sweep),
    "search": Command("search the bits of each layer for a goal (resumes after a stop)", _search),
    "latency": Command("export to ONNX in float and int8, verify the files and time them on this machine", _latency),
    "train": Command("train a bundled network again (resumes after a stop)", _train),
    "recover": Command(
        "train a compressed network, write its packed file and measure its accuracy (resumes after a stop)", _recover
    ),
    "calibrate": Command("measure the input ranges of layers of the bundled networks on training images", _calibrate),
    "landscape": Command(
        "measure the networks that come with the project, where results are missing or out of date", _landscape
    ),
}
