"""Compresses, evaluates and exports neural networks from the command line."""

import os
import sys
from importlib import import_module

from compression.commands.shared.arguments import parser
from compression.errors import CompressionError


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns the exit status: 0; 2 after an error, 130 after Ctrl-C, each with one sentence.

    Only the module of that command is imported, so that help is printed without torch. Workers have normal priority,
    unless the environment says otherwise: no slider is moved beside them.
    """
    options = parser(__doc__).parse_args(arguments)
    os.environ.setdefault("SQUEEZELAB_NICE", "0")
    try:
        import_module(f"compression.commands.{options.command}").run(options)
    except (CompressionError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
