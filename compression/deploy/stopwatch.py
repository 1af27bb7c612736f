"""Measures latencies in the background, in a process of its own, one measurement at a time.

A measurement is unknown, then running, then known: it has times or an error. Only `look` with `go` starts one, and only
if no other is running, because two measurements at once would disturb each other. The process (`latency_process`) has
normal priority, so that it goes before the workers of the engine.
"""

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compression.deploy.latency import ROUNDS, Measurements
from compression.deploy.latency_process import read_result, read_share, write_request
from compression.engine.lru_cache import LruCache
from compression.engine.scratch import Scratch
from compression.engine.workers import OWN_GROUP
from compression.paths import PROJECT

MOST_TIMINGS = 64

ERRORS = "errors"

MeasurementKey = tuple[object, int]  # what is measured, and the number of threads


@dataclass(frozen=True)
class Timing:
    """The state of a measurement: its times, or the share (0..1) that is done, or a sentence on why it failed."""

    times: Measurements | None = None
    share: float = 0.0
    error: str | None = None

    @property
    def done(self) -> bool:
        """Whether the measurement is finished or has failed."""
        return self.times is not None or self.error is not None


class Stopwatch:
    """Measurements of all sessions of this process. Any thread may call its methods; none of them waits."""

    def __init__(self, rounds: Mapping[int, int] = ROUNDS) -> None:
        self._rounds = rounds
        self._lock = threading.RLock()
        self._timings: LruCache[MeasurementKey, Timing] = LruCache(MOST_TIMINGS)
        self._running: tuple[MeasurementKey, Scratch, subprocess.Popen[bytes]] | None = None
        atexit.register(self.close)

    def look(self, what: object, graphs: Mapping[str, bytes], threads: int, go: bool = True) -> Timing:
        """Returns what is known of the times of `graphs`; with `go`, starts to measure them if nothing is measured now.

        `what` identifies the graphs: it is equal for equal graphs.
        """
        key = what, threads
        with self._lock:
            self._collect()
            if self._timings.get(key) is None and go and self._running is None:
                self._start(key, graphs, threads)
            if self._running and self._running[0] == key:
                return Timing(share=read_share(self._running[1].path))
            return self._timings.get(key) or Timing()

    def forget(self, what: object, threads: int) -> None:
        """Discards the times of `what`, and ends its measurement if it is running."""
        with self._lock:
            self._timings.discard((what, threads))
            if self._running and self._running[0] == (what, threads):
                self.close()

    def close(self) -> None:
        """Ends the running measurement, if there is one."""
        with self._lock:
            if self._running:
                _, scratch, process = self._running
                process.kill()
                process.wait()
                scratch.remove()
                self._running = None

    def _start(self, key: MeasurementKey, graphs: Mapping[str, bytes], threads: int) -> None:
        try:
            scratch = Scratch()
            try:
                write_request(scratch.path, graphs, threads, self._rounds)
                self._running = key, scratch, _start_process(scratch.path)
            except OSError:
                scratch.remove()
                raise
        except OSError as error:
            self._timings.put(key, Timing(error=error.strerror or str(error)))

    def _collect(self) -> None:
        """Keeps the result of a process that has ended."""
        if self._running is None or self._running[2].poll() is None:
            return
        key, scratch, _ = self._running
        self._timings.put(key, _timing(scratch.path))
        self.close()


def _start_process(folder: Path) -> subprocess.Popen[bytes]:
    """Starts to measure what is in `folder`. Raises OSError."""
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    with (folder / ERRORS).open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "compression.deploy.latency_process", str(folder), str(os.getpid())],
            cwd=PROJECT,  # `-m` imports from the working directory first
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            **OWN_GROUP,
        )


def _timing(folder: Path) -> Timing:
    """Returns the result of a process that has ended, or the last line of what it wrote as errors."""
    try:
        return Timing(read_result(folder), 1.0)
    except (OSError, ValueError):
        lines = (folder / ERRORS).read_text(errors="replace").strip().splitlines()
        return Timing(error=lines[-1] if lines else "the process that measures ended without a result")
