"""`landscape`: measures the results that are bundled with the networks again, where they are out of date."""

import argparse

from compression.commands.shared.json_text import to_json
from compression.commands.sweep import sweep
from compression.data.cifar10 import TEST
from compression.networks.bundled import bundled_names, load_bundled
from compression.results.landscape import write_landscape
from compression.spec.grid import landscape_specs


def run(options: argparse.Namespace) -> None:
    """Writes one file per network. Stopped, it resumes where it was. Raises ValueError for an unknown network."""
    names = bundled_names()
    if options.model not in (None, *names):
        raise ValueError(f"--model must be one of {', '.join(names)}, got {options.model!r}")
    for name in [options.model] if options.model else names:
        reading = sweep(landscape_specs(name), TEST.images)
        if len(reading.results) < len(reading.specs):
            raise KeyboardInterrupt
        path = write_landscape(load_bundled(name), reading.results)
        row = {"model": name, "specs": len(reading.specs), "file": path.name, "bytes": path.stat().st_size}
        print(to_json(row) if options.json else f"{name}: {len(reading.specs)} specs, {row['bytes']:,} bytes")
