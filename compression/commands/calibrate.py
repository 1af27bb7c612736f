"""`calibrate`: measures the input ranges of the bundled networks' layers on training images, and stores them."""

import argparse

from compression.commands.shared.json_text import to_json
from compression.core import bundled_calibrations
from compression.core.training_evidence import observe_training_sample
from compression.networks.bundled import bundled_names, load_bundled
from compression.spec import SAMPLE_IMAGES


def run(options: argparse.Namespace) -> None:
    """Writes one file per network, beside its weights. Raises DataError where there are no training images."""
    rows = []
    for name in [options.name] if options.name else bundled_names():
        model = load_bundled(name)
        path, ranges = bundled_calibrations.calibration_path(name), observe_training_sample(model)
        bundled_calibrations.save_calibration(path, model, ranges)
        rows.append({"model": name, "file": str(path), "layers": len(ranges), "images": SAMPLE_IMAGES})
        if not options.json:
            print(f"{path}: {len(ranges)} layers, {SAMPLE_IMAGES:,} training images")
    if options.json:
        print(to_json({"calibrations": rows}))
