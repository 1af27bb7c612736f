"""`models`: lists the networks, and downloads public ones."""

import argparse
from typing import Any

from compression.commands.shared.json_text import to_json
from compression.commands.shared.progress import byte_bar
from compression.data.cifar10 import TEST
from compression.files.stored import StoredNetwork
from compression.library import catalog
from compression.networks import public
from compression.networks.macs import layer_macs


def run(options: argparse.Namespace) -> None:
    """Prints a row per network: bundled, fetched and recovered ones first, then the public ones to fetch."""
    if options.fetch:
        with byte_bar(options.fetch) as progress:
            public.fetch_public(options.fetch, progress)
        rows = [row_of_loaded(options.fetch)]
    else:
        here = catalog.network_names()
        rows = [row_of_loaded(name) for name in here]
        rows += [row_of_missing(name) for name in public.PUBLIC if name not in here]
    if options.json:
        print(to_json({"models": rows}))
        return
    for row in rows:
        print(line(row))


def row_of_loaded(name: str) -> dict[str, Any]:
    """Returns the row of a network that is here, as `--json` prints it: accuracy in 0..1, MACs per image."""
    model = catalog.load_network(name)
    return {
        "model": name,
        "here": True,
        "public": name in public.PUBLIC,
        "parameters": model.parameters,
        "macs": sum(layer_macs(model.module, model.example).values()),
        "accuracy": model.accuracy,
        "normalization": model.normalization.name,
        "file_bytes": model.nbytes if isinstance(model, StoredNetwork) else None,
    }


def row_of_missing(name: str) -> dict[str, Any]:
    """Returns the row of a public network that has not been fetched yet."""
    model = public.PUBLIC[name]
    return {
        "model": name,
        "here": False,
        "public": True,
        "parameters": None,
        "macs": None,
        "accuracy": model.accuracy,
        "normalization": model.normalization,
        "file_bytes": None,
    }


def line(row: dict[str, Any]) -> str:
    """Returns a row as `models` prints it without `--json`."""
    counts = "not fetched"
    if row["here"]:
        counts = f"{row['parameters']:>10,} parameters {row['macs'] / 1e6:7.2f} M MACs"
    note = ", as published" if row["public"] else ""
    if row["file_bytes"]:
        note = f", compressed to {row['file_bytes']:,} bytes"
    known = "not counted" if row["accuracy"] is None else f"{row['accuracy']:.2%}"
    return f"{row['model']:25} {counts:38} {known} on CIFAR-10's {TEST.images:,} test images{note}"
