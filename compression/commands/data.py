"""`data`: shows which copy of CIFAR-10 is used, and downloads it."""

import argparse
from typing import Any

from compression.commands.shared.json_text import to_json
from compression.commands.shared.progress import byte_bar
from compression.data.cifar10 import SPLITS, TEST
from compression.data.download import download
from compression.data.images import load
from compression.errors import DataError, DataMissing
from compression.paths import DATA


def run(options: argparse.Namespace) -> None:
    """Prints a line per split. Raises DataError where the test images are missing or any image is damaged."""
    if options.download:
        with byte_bar(f"{options.download} images") as progress:
            download(SPLITS[options.download], progress=progress)
    rows: dict[str, Any] = {}
    problems: list[DataError] = []
    for split in SPLITS.values():
        try:
            images = load(split)
        except DataMissing as error:
            rows[split.name] = {"images": 0, "problem": str(error)}
            problems += [error] if split is TEST else []
        except DataError as error:
            rows[split.name] = {"images": 0, "problem": str(error)}
            problems.append(error)
        else:
            rows[split.name] = {"images": len(images), "source": images.source}
    if options.json:
        print(to_json({"cache": str(DATA), **rows}))
    else:
        for name, row in rows.items():
            print(f"{name:5} " + row.get("problem", f"{row['images']:,} images, verified: {row.get('source')}"))
        print(f"cache {DATA}")
    if problems:
        raise problems[0]
