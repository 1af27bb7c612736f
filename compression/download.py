"""Fetching CIFAR-10: with progress, resumed where it broke off, verified, and never half-written under its name."""

import contextlib
import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from compression.boxes import read_parquet
from compression.cifar10 import DataError, Split, canonical, verify
from compression.data import DATA

HUB = "https://huggingface.co/datasets/uoft-cs/cifar10/resolve/main/plain_text"

Progress = Callable[[int, int], None]
_ONE_AT_A_TIME = threading.Lock()


class _DiskError(Exception):
    """The file that grows cannot be written."""


def download(split: Split, data: Path = DATA, progress: Progress | None = None, hub: str = HUB) -> Path:
    """Fetches the Parquet file of `split` into `data/cifar10/plain_text` and verifies it.

    `progress(bytes so far, bytes in all)` is called as it grows. A broken transfer keeps what came, under
    another name, and the next call goes on from there. Where two ask at once, the second finds the work done.
    Raises DataError, in words, for whatever goes wrong.
    """
    target = data / "cifar10" / "plain_text" / split.download
    partial = target.with_suffix(".partial")
    url = f"{hub}/{split.download}"
    was_there = target.exists()
    with _ONE_AT_A_TIME:
        if target.exists() and not was_there:
            return target
        try:
            with _writing():
                target.parent.mkdir(parents=True, exist_ok=True)
            _fetch(url, partial, progress)
        except urllib.error.HTTPError as error:
            raise DataError(f"{url} answers {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise DataError(
                f"{url} cannot be reached ({reason}); what came so far is kept, and the next try goes on from there"
            ) from error
        except _DiskError as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise DataError(f"cannot write {partial}: {error}") from error
        try:
            verify(canonical(read_parquet((partial,))), split, f"what {url} sent")
        except DataError:
            partial.unlink(missing_ok=True)
            raise
        partial.replace(target)
        return target


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """Tells what goes wrong with the disk from what goes wrong with the network."""
    try:
        yield
    except OSError as error:
        raise _DiskError(error.strerror) from error


def _fetch(url: str, partial: Path, progress: Progress | None) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if have and error.code == 416:  # nothing is left to send: it had all arrived
            return
        raise
    with response:
        with _writing():
            file: BinaryIO = partial.open("ab" if response.status == 206 else "wb")
        with file:
            done = file.tell()
            total = done + int(response.headers.get("Content-Length", 0))
            while block := response.read(1 << 18):
                with _writing():
                    file.write(block)
                    file.flush()
                done += len(block)
                if progress:
                    progress(done, max(done, total))
            if done < total:
                raise ConnectionError(f"the connection closed after {done:,} of {total:,} bytes")
