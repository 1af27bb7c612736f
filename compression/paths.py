"""Where the project, its code and its data lie, and files that are written whole or not at all."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
PROJECT = PACKAGE.parent
DATA, ASSETS = PROJECT / "data", PACKAGE / "assets"


def write_whole(path: Path, content: bytes) -> None:
    """Writes the file whole or not at all: a reader never meets half of it. Raises OSError."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
