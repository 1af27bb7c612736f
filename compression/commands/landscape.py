"""`landscape`: measures the results that are bundled with the networks, where they are missing or out of date."""

import argparse

import torch

from compression.commands.shared.json_text import to_json
from compression.commands.sweep import sweep
from compression.data.cifar10 import TEST
from compression.library.catalog import load_network
from compression.library.recovered import gallery_names
from compression.networks.bundled import bundled_names
from compression.networks.model import FloatModel
from compression.results.landscape import read_landscape, write_landscape
from compression.results.result import Result
from compression.spec import CompressionSpec
from compression.spec.grid import landscape_specs


def run(options: argparse.Namespace) -> None:
    """Writes one file per network. Stopped, it resumes where it was. Raises ValueError for an unknown network."""
    names = [*bundled_names(), *gallery_names()]
    if options.model not in (None, *names):
        raise ValueError(f"--model must be one of {', '.join(names)}, got {options.model!r}")
    for name in [options.model] if options.model else names:
        model, specs = load_network(name), specs_of(name)
        results = {} if options.again else usable_results(model)
        missing = [spec for spec in specs if spec not in results]
        if missing:
            reading = sweep(missing, TEST.images)
            if len(reading.results) < len(missing):
                raise KeyboardInterrupt
            results |= {result.spec: result for result in reading.results}
        path = write_landscape(model, [results[spec] for spec in specs])
        row = {"model": name, "specs": len(specs), "measured": len(missing), "file": path.name}
        row["bytes"] = path.stat().st_size
        words = f"{name}: {len(specs)} specs, {len(missing)} of them measured now, {row['bytes']:,} bytes"
        print(to_json(row) if options.json else words)


def specs_of(name: str) -> tuple[CompressionSpec, ...]:
    """Returns the specs to measure: a grid for a float network; a recovered network is measured as it is."""
    return landscape_specs(name) if name in bundled_names() else (CompressionSpec(name),)


def usable_results(model: FloatModel) -> dict[CompressionSpec, Result]:
    """Returns the committed results whose weights, images, code and version of torch are those of now, by spec."""
    committed = read_landscape(model)
    return {result.spec: result for result in committed.results} if committed.torch == torch.__version__ else {}
