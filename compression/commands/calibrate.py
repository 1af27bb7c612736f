"""`calibrate`: what the layers of the bundled networks see of training images, written beside their weights."""

import argparse
import json

from compression.core import bundled_calibrations
from compression.core.training_evidence import SAMPLE_IMAGES, observe_training_sample
from compression.networks.bundled import bundled_names, load_bundled

HELP = "look again at what the bundled networks' layers see of training images, for quantized activations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="one of the bundled networks (default: all)")


def run(options: argparse.Namespace) -> None:
    rows = []
    for name in [options.name] if options.name else bundled_names():
        model = load_bundled(name)
        path, seen = bundled_calibrations.calibration_path(name), observe_training_sample(model)
        bundled_calibrations.save_calibration(path, model, seen)
        rows.append({"model": name, "file": str(path), "layers": len(seen), "images": SAMPLE_IMAGES})
        if not options.json:
            print(f"{path}: {len(seen)} layers, {SAMPLE_IMAGES:,} training images")
    if options.json:
        print(json.dumps({"calibrations": rows}))
