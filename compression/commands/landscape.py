"""`landscape`: what comes along with the bundled networks, measured anew where it does not hold any more."""

import argparse
import json

from compression.commands.sweep import swept
from compression.data.cifar10 import TEST
from compression.networks.bundled import bundled_names, load_bundled
from compression.results.landscape import write_landscape
from compression.spec.grid import landscape_specs

HELP = "measure the bundled networks on a grid of settings, for whoever has no images, and keep that with them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="NAME", choices=bundled_names(), help="one of them alone")


def run(options: argparse.Namespace) -> None:
    """Writes a file a network. Stopped, it goes on where it was."""
    for name in [options.model] if options.model else bundled_names():
        reading = swept(landscape_specs(name), TEST.images)
        if len(reading.results) < len(reading.specs):
            raise KeyboardInterrupt
        path = write_landscape(load_bundled(name), reading.results)
        found = {"model": name, "specs": len(reading.specs), "file": path.name, "bytes": path.stat().st_size}
        print(json.dumps(found) if options.json else f"{name}: {len(reading.specs)} specs, {found['bytes']:,} bytes")
