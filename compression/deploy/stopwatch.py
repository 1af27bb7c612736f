"""Latencies taken in a process of their own, one measurement at a time, while pages are served.

That process is `timed`. It has the usual priority, before which the workers of the engine stand back.
"""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compression.deploy.latency import ROUNDS, Latency
from compression.deploy.latency_process import ASKED, RESULT, SHARE, SUFFIX
from compression.deploy.runtime import Kernels
from compression.engine.workers import OWN_GROUP
from compression.paths import PROJECT

MOST_KEPT = 64

ERRORS = "errors"

MeasurementKey = tuple[object, int]


@dataclass(frozen=True)
class Measurements:
    """What was measured, of graphs by name."""

    latencies: tuple[Latency, ...]
    kernels: Mapping[str, Kernels]


@dataclass(frozen=True)
class Timing:
    """What is known of a measurement: all of it, or which share (0..1) is done, or why there is none."""

    times: Measurements | None = None
    share: float = 0.0
    error: str | None = None

    @property
    def done(self) -> bool:
        return self.times is not None or self.error is not None


class Stopwatch:
    """Measurements of all sessions of this process. All may be called from any thread, and none waits."""

    def __init__(self, rounds: Mapping[int, int] = ROUNDS) -> None:
        self._rounds = rounds
        self._lock = threading.RLock()
        self._known: OrderedDict[MeasurementKey, Timing] = OrderedDict()
        self._running: tuple[MeasurementKey, Path, subprocess.Popen[bytes]] | None = None
        atexit.register(self.close)

    def look(self, what: object, graphs: Mapping[str, bytes], threads: int, go: bool = True) -> Timing:
        """What is known by now of `graphs`; with `go`, they are measured as soon as nothing else is.

        `what` is equal for equal graphs.
        """
        key = what, threads
        with self._lock:
            self._advance()
            if key not in self._known and go and self._running is None:
                self._start(key, graphs, threads)
            if self._running and self._running[0] == key:
                return Timing(share=_share(self._running[1]))
            return self._known.get(key, Timing())

    def forget(self, what: object, threads: int) -> None:
        """So that it is measured again, or not to its end."""
        with self._lock:
            self._known.pop((what, threads), None)
            if self._running and self._running[0] == (what, threads):
                self.close()

    def close(self) -> None:
        """Ends what is being measured."""
        with self._lock:
            if self._running:
                _, folder, process = self._running
                process.kill()
                process.wait()
                shutil.rmtree(folder, ignore_errors=True)
                self._running = None

    def _start(self, key: MeasurementKey, graphs: Mapping[str, bytes], threads: int) -> None:
        folder = Path(tempfile.mkdtemp(prefix="squeezelab-"))
        try:
            self._running = key, folder, _started(folder, graphs, threads, self._rounds)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            self._keep(key, Timing(error=str(error)))

    def _advance(self) -> None:
        """Takes in what has come to its end."""
        if self._running is None or self._running[2].poll() is None:
            return
        key, folder, _ = self._running
        self._keep(key, _ended(folder))
        self.close()

    def _keep(self, key: MeasurementKey, timing: Timing) -> None:
        self._known[key] = timing
        while len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)


def _started(
    folder: Path, graphs: Mapping[str, bytes], threads: int, rounds: Mapping[int, int]
) -> subprocess.Popen[bytes]:
    """Raises OSError where there is no room in `folder`."""
    for name, graph in graphs.items():
        (folder / f"{name}{SUFFIX}").write_bytes(graph)
    asked = {"names": list(graphs), "threads": threads, "rounds": list(rounds.items())}
    (folder / ASKED).write_text(json.dumps(asked))
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    with (folder / ERRORS).open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "compression.deploy.latency_process", str(folder)],
            cwd=PROJECT,  # from which `-m` imports first
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            **OWN_GROUP,
        )


def _share(folder: Path) -> float:
    try:
        return float((folder / SHARE).read_text())
    except (OSError, ValueError):
        return 0.0


def _ended(folder: Path) -> Timing:
    try:
        found = json.loads((folder / RESULT).read_text())
    except (OSError, ValueError):
        lines = (folder / ERRORS).read_text(errors="replace").strip().splitlines()
        return Timing(error=lines[-1] if lines else "the process that measures was ended")
    return Timing(
        Measurements(
            tuple(Latency(**each) for each in found["latencies"]),
            {name: Kernels(**each) for name, each in found["kernels"].items()},
        ),
        1.0,
    )
