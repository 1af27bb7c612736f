"""`inspect`: looks inside a compressed network: which images it loses, how sure it is, and where it looks."""

import argparse
from importlib import import_module

from compression.commands.shared.arguments import INSPECTIONS


def run(options: argparse.Namespace) -> None:
    """Prints what `options.what`, one of INSPECTIONS, asks for."""
    assert options.what in INSPECTIONS
    import_module(f"{__name__}.{options.what}").run(options)
