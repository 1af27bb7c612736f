"""A Dask scheduler and workers as processes of this machine, which end with the process that started them.

Each worker has one thread and the lowest priority, so that the pages stay quick. SQUEEZELAB_NICE=0 in the environment
leaves workers at normal priority: tests set it, because nothing else computes beside them. All processes listen on the
loopback interface alone, because whoever reaches a Dask port can run any code.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from tornado.ioloop import PeriodicCallback

from compression.paths import PROJECT

NICE = "SQUEEZELAB_NICE"

LOOPBACK = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")  # the dashboard's default is every interface

SETTINGS = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": "1.0",  # what waits, waits at the scheduler, in order of priority
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "20",  # deaths of workers until the task is taken for the cause
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",  # rest would cost 5 % of a core, and costs 1 %
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__ADMIN__TICK__CYCLE": "5s",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",  # this and what follows: glibc keeps freed memory for the next layer's output. Given back
    "MALLOC_MMAP_MAX_": "0",  # and fetched again page by page, it would cost a quarter of all time
    "MALLOC_TRIM_THRESHOLD_": "268435456",
}

NICENESS = 19 if os.name == "posix" else getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", 0)

OWN_GROUP: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}  # Ctrl-C is for who started them

WATCH_MS = 500

LEAST_SECONDS = 1.0  # between two starts of one process, so that one that cannot live costs little


def cores() -> int:
    """How many processes can compute at once: the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def dask_setup(server: Any) -> None:
    """Dask calls this in each scheduler and worker. Workers give up their priority; all end when their parent ends."""
    me = psutil.Process()
    parent = me.parent()
    if hasattr(server, "nanny") and os.environ.get(NICE) != "0":
        me.nice(NICENESS)
        if hasattr(os, "SCHED_IDLE"):  # Linux: whoever wakes up goes first at once, and not some milliseconds later
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    def watch() -> None:
        if parent is None or not parent.is_running() or me.ppid() != parent.pid:
            os._exit(1)

    server.periodic_callbacks["parent"] = PeriodicCallback(watch, WATCH_MS)


class Workers:
    """The processes. `tend` starts those that do not run, and returns at once; they come up within seconds."""

    def __init__(self, count: int, preload: Sequence[str]) -> None:
        """`count` workers that import the modules `preload` before they begin. Raises OSError."""
        self._folder = Path(tempfile.mkdtemp(prefix="squeezelab-"))
        self._note = self._folder / "scheduler.json"
        modules = [word for module in (__name__, *preload) for word in ("--preload", module)]
        dask = [sys.executable, "-m"]
        common = [*LOOPBACK, "--scheduler-file", str(self._note)]
        alone = ["--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--local-directory", str(self._folder)]
        self._scheduler = _Process(
            [*dask, "distributed.cli.dask_scheduler", *common, "--port", "0", *modules[:2]], self._folder / "scheduler"
        )
        self._workers = [
            _Process([*dask, "distributed.cli.dask_worker", *common, *alone, *modules], self._folder / f"worker{place}")
            for place in range(count)
        ]
        self.tend()

    @property
    def pids(self) -> list[int]:
        """The processes of the workers that are alive."""
        return [worker.running.pid for worker in self._workers if worker.running and not worker.dead]

    @property
    def problem(self) -> str | None:
        """The last words of a process that came to its end while it was starting."""
        return next((p.last_words for p in (self._scheduler, *self._workers) if p.last_words), None)

    def tend(self) -> None:
        if self._scheduler.dead:
            self._note.unlink(missing_ok=True)
            for worker in self._workers:
                worker.kill()
        for process in (self._scheduler, *self._workers):
            process.tend()

    @property
    def address(self) -> str | None:
        """The scheduler's address, once it listens."""
        try:
            return json.loads(self._note.read_text())["address"]
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        for process in (*self._workers, self._scheduler):
            process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass
class _Process:
    """A process that is started again when it has died."""

    command: list[str]
    log: Path
    started: float = 0.0
    running: subprocess.Popen[bytes] | None = None
    last_words: str = ""

    @property
    def dead(self) -> bool:
        return self.running is None or self.running.poll() is not None

    def tend(self) -> None:
        """Starts it if it does not run, though not twice within `LEAST_SECONDS`."""
        age = time.monotonic() - self.started
        if not self.dead:
            self.last_words = self.last_words if age < 10 * LEAST_SECONDS else ""
            return
        if self.running is not None:
            lines = self.log.read_text(errors="replace").strip().splitlines()
            self.last_words = lines[-1] if lines else f"exit status {self.running.returncode}"
            if age < LEAST_SECONDS:
                return
        paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.started = time.monotonic()
        with self.log.open("wb") as log:
            self.running = subprocess.Popen(
                self.command,
                env=os.environ | SETTINGS | {"PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                **OWN_GROUP,
            )

    def kill(self) -> None:
        if self.running is not None:
            self.running.kill()
            self.running.wait()
