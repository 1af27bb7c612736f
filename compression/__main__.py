"""The command line: the same specs as the pages, headless. `--json` prints one object."""

import argparse
import sys

from compression.commands import (
    calibrate,
    data,
    evaluate,
    export,
    landscape,
    latency,
    models,
    search,
    sensitivity,
    sweep,
    train,
)
from compression.errors import CheckpointError, DataError, EngineError

COMMANDS = {
    "models": models,
    "data": data,
    "evaluate": evaluate,
    "export": export,
    "sensitivity": sensitivity,
    "sweep": sweep,
    "search": search,
    "latency": latency,
    "train": train,
    "calibrate": calibrate,
    "landscape": landscape,
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, or 2 with one sentence on what is wrong."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, DataError, CheckpointError, EngineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m compression", description=__doc__)
    subparsers = top.add_subparsers(required=True, metavar=" | ".join(COMMANDS))
    for name, command in COMMANDS.items():
        options = subparsers.add_parser(name, help=command.HELP)
        command.add_arguments(options)
        options.add_argument("--json", action="store_true", help="print one JSON object")
        options.set_defaults(run=command.run)
    return top


if __name__ == "__main__":
    sys.exit(main())
