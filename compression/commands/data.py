"""`data`: which CIFAR-10 was found, and fetching it."""

import argparse
import json
from typing import Any

from compression.commands.shared.progress import byte_bar
from compression.data.cifar10 import SPLITS, TEST
from compression.data.download import download
from compression.data.images import load
from compression.errors import DataError, DataMissing
from compression.paths import DATA

HELP = "which CIFAR-10 was found, and where"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--download",
        nargs="?",
        const="test",
        choices=SPLITS,
        metavar="{test,train}",
        help="fetch the 10,000 test images (24 MB), or with `train` the 50,000 training images (120 MB)",
    )


def run(options: argparse.Namespace) -> None:
    if options.download:
        with byte_bar(f"{options.download} images") as progress:
            download(SPLITS[options.download], progress=progress)
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
