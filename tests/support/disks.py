"""A disk that is full."""

import errno
import os


def full_disk(*_: object, **__: object) -> str:
    """Stands for `tempfile.mkdtemp`."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
