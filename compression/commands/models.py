"""`models`: the networks there are."""

import argparse
import json

from compression.cifar10 import TEST
from compression.models import zoo
from compression.operations import layer_macs

HELP = "the bundled networks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(options: argparse.Namespace) -> None:
    models = [zoo.load_bundled(name) for name in zoo.bundled()]
    if options.json:
        rows = [
            {
                "model": model.name,
                "parameters": model.parameters,
                "macs": sum(layer_macs(model.module).values()),
                "accuracy": model.accuracy,
                "normalization": model.normalization.name,
            }
            for model in models
        ]
        print(json.dumps({"models": rows}))
        return
    for model in models:
        macs = sum(layer_macs(model.module).values())
        print(
            f"{model.name:12} {model.parameters:>9,} parameters {macs / 1e6:7.2f} M MACs "
            f"{model.accuracy:.2%} on CIFAR-10's {TEST.images:,} test images"
        )
