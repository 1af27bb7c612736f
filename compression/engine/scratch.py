"""Temporary folders of this machine, which end with their process: what a kill leaves behind, the next start removes.

Each folder has a file that its process keeps locked. The lock ends with the process, however that ends, and holds in
containers with process ids of their own. Where files cannot be locked, nothing is removed.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PREFIX, LOCK = "squeezelab-", "lock"


class Scratch:
    """A temporary folder at `path`, empty but for its lock."""

    def __init__(self) -> None:
        """Makes the folder, and removes those whose processes have gone. Raises OSError."""
        remove_abandoned()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        unlocked = self.path / f"{LOCK}.new"
        self._lock = unlocked.open("wb")
        _try_lock(self._lock)
        unlocked.rename(self.path / LOCK)  # no other process sees the file before it is locked

    def remove(self) -> None:
        """Removes the folder with all that is in it."""
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)


def remove_abandoned() -> None:
    """Removes the folders of processes that have ended."""
    for path in _abandoned():
        shutil.rmtree(path, ignore_errors=True)


def _abandoned() -> Iterator[Path]:
    """Yields folders that nobody has locked, each locked as long as the caller works with it."""
    if fcntl is None:
        return
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError), path.open("rb+") as lock:
            if os.fstat(lock.fileno()).st_uid == os.getuid() and _try_lock(lock):
                yield path.parent


def _try_lock(file: IO[bytes]) -> bool:
    """Locks the file until it is closed; returns whether no other process had done so."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
