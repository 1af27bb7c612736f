"""`export`: a compressed network as a file, in the format that its name ends in, and the proof that it is the same."""

import argparse
import json
from pathlib import Path

from compression.commands.shared.file_formats import FORMATS
from compression.commands.shared.options import add_spec_arguments, compressed_from

HELP = "compress a network and write it to a file, which is read again and compared"

ENDINGS = f"{', '.join([*FORMATS][:-1])} or {[*FORMATS][-1]}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_spec_arguments(parser)
    parser.add_argument(
        "--out", metavar="FILE", type=Path, required=True, help=f"the file; its name ends in {ENDINGS}, see the README"
    )


def run(options: argparse.Namespace) -> None:
    path = options.out
    as_format = next((FORMATS[ending] for ending in FORMATS if path.name.endswith(ending)), None)
    if as_format is None:
        raise ValueError(f"the name of --out must end in {ENDINGS}, got {path.name!r}")
    model, compressed = compressed_from(options)
    exported = as_format(compressed, model, path)
    print(json.dumps(exported.values) if options.json else exported.words)
