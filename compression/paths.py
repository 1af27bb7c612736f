"""Folders of the project, its package, data and assets; and writing a file so that readers never see half of it."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
PROJECT = PACKAGE.parent
DATA, ASSETS = PROJECT / "data", PACKAGE / "assets"


def write_whole(path: Path, content: bytes) -> None:
    """Writes `content` to `path` atomically: a reader sees the old file or the new one. Raises OSError."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
