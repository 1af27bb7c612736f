"""`calibrate`: what the layers of the bundled networks see of training images, written beside their weights."""

import argparse
import json

from compression.core import bundled_calibrations as calibrations
from compression.core.training_evidence import SAMPLE_IMAGES, observed
from compression.networks import bundled as zoo

HELP = "look again at what the bundled networks' layers see of training images, for quantized activations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="one of the bundled networks (default: all)")


def run(options: argparse.Namespace) -> None:
    rows = []
    for name in [options.name] if options.name else zoo.bundled():
        model = zoo.load_bundled(name)
        path, seen = calibrations.file_of(name), observed(model)
        calibrations.save(path, model, seen)
        rows.append({"model": name, "file": str(path), "layers": len(seen), "images": SAMPLE_IMAGES})
        if not options.json:
            print(f"{path}: {len(seen)} layers, {SAMPLE_IMAGES:,} training images")
    if options.json:
        print(json.dumps({"calibrations": rows}))
