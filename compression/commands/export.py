"""`export`: writes a compressed network to a file, in the format that its name ends in, and verifies the file."""

import argparse

from compression.commands.shared.file_formats import FORMATS
from compression.commands.shared.inputs import compressed_network
from compression.commands.shared.json_text import to_json

ENDINGS = f"{', '.join([*FORMATS][:-1])} or {[*FORMATS][-1]}"


def run(options: argparse.Namespace) -> None:
    """Prints the size of the file and what was verified. Raises ValueError for an unknown end of its name."""
    path = options.out
    write = next((FORMATS[ending] for ending in FORMATS if path.name.endswith(ending)), None)
    if write is None:
        raise ValueError(f"the name of --out must end in {ENDINGS}, got {path.name!r}")
    model, compressed = compressed_network(options)
    report = write(compressed, model, path)
    print(to_json(report.values) if options.json else report.words)
