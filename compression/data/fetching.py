"""Downloads a file: with progress, resumed after an interruption, checked, and never incomplete under its name."""

import contextlib
import http.client
import queue
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from compression.errors import DataError

Progress = Callable[[int, int], None]

TIMEOUT_SECONDS = 30

_ONE_AT_A_TIME: dict[Path, threading.Lock] = {}


class _DiskError(Exception):
    """The partial file cannot be written."""


def fetch(url: str, target: Path, check: Callable[[Path], None], progress: Progress | None = None) -> Path:
    """Downloads `url` to `target` and returns `target`. The file gets its name after `check` has accepted it.

    `progress(bytes so far, bytes in total)` is called repeatedly. An interrupted transfer keeps its bytes under another
    name, and the next call continues from there. If two threads ask for one file, only the first downloads it.
    `check(file)` raises DataError if the content is wrong; the file is then deleted.
    Raises DataError, with the reason, if anything goes wrong.
    """
    partial = target.with_suffix(".partial")
    before = stamp(target)
    with _ONE_AT_A_TIME.setdefault(target, threading.Lock()):
        if stamp(target) not in (None, before):
            return target
        try:
            with _writing():
                target.parent.mkdir(parents=True, exist_ok=True)
            _transfer(url, partial, progress)
        except urllib.error.HTTPError as error:
            raise DataError(f"{url} answers {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            raise DataError(
                f"{url} cannot be reached ({reason(error)}); the bytes so far are kept, and the next try "
                "continues from there"
            ) from error
        except _DiskError as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise DataError(f"cannot write {partial}: {error}") from error
        try:
            check(partial)
        except DataError:
            partial.unlink(missing_ok=True)
            raise
        try:
            partial.replace(target)
        except OSError as error:
            raise DataError(f"cannot write {target}: {error.strerror}") from error
        return target


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Returns a value that changes when the file at `path` does, or None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def unreachable(url: str, timeout_seconds: float) -> str | None:
    """Returns why the host of `url` cannot be reached now, or None if it can. Takes at most `timeout_seconds`.

    The request runs in a thread, because the look-up of a host's name has no timeout of its own.
    """
    parts = urllib.parse.urlsplit(url)
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def ask() -> None:
        request = urllib.request.Request(f"{parts.scheme}://{parts.netloc}/", method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=timeout_seconds).close()
        except urllib.error.HTTPError as error:
            answers.put(f"{parts.hostname} answers {error.code} {error.reason}")
        except (OSError, http.client.HTTPException) as error:
            answers.put(f"{parts.hostname} cannot be reached ({reason(error)})")
        else:
            answers.put(None)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=timeout_seconds)
    except queue.Empty:
        return f"{parts.hostname} cannot be reached ({reason(TimeoutError())})"


def reason(error: Exception) -> str:
    """Returns what an error of the network means, without its number."""
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, socket.gaierror):
        return "no network, or its name is unknown"
    if isinstance(cause, TimeoutError):
        return "it does not answer"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """Turns errors of the disk into _DiskError, to tell them from errors of the network."""
    try:
        yield
    except OSError as error:
        raise _DiskError(error.strerror) from error


def _transfer(url: str, partial: Path, progress: Progress | None) -> None:
    so_far = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={so_far}-"} if so_far else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if so_far and error.code == 416:  # range not satisfiable: all bytes had arrived
            return
        raise
    with response:
        with _writing():
            file: BinaryIO = partial.open("ab" if response.status == 206 else "wb")
        with file:
            received = file.tell()
            total = received + int(response.headers.get("Content-Length", 0))
            while block := response.read(1 << 18):
                with _writing():
                    file.write(block)
                    file.flush()
                received += len(block)
                if progress:
                    progress(received, max(received, total))
            if received < total:
                raise ConnectionError(f"the connection closed after {received:,} of {total:,} bytes")
