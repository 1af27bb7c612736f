"""A Dask scheduler and workers as processes of this machine, which end with the process that started them.

Each worker has one thread and the nice value that SQUEEZELAB_NICE in the environment says, by default NICENESS. With
it, sliders are as quick as beside workers of idle priority (SCHED_IDLE), which would stand still beside any busy
program. The command line sets it to 0, because nobody moves a slider there, and so do the tests.

All processes listen on the loopback interface alone, because whoever reaches a Dask port can run any code.
"""

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from compression.engine.scratch import Scratch
from compression.paths import PROJECT

NICE = "SQUEEZELAB_NICE"

LOOPBACK = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")  # the dashboard's default is every interface

SETTINGS = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": "1.0",  # tasks wait at the scheduler, in order of priority
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "20",  # deaths of workers until a task is held to be the cause
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",  # an idle worker costs 1 % of a core instead of 5 %
    "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "False",  # all talk on the loopback interface
    "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": "10",  # messages; the 1,000 of the default take tens of megabytes
    "DASK_DISTRIBUTED__DIAGNOSTICS__COMPUTATIONS__MAX_HISTORY": "0",  # while tasks wait it never forgets their groups
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__ADMIN__TICK__CYCLE": "5s",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}

# For workers, glibc keeps freed memory for the output of the next layer: giving it back and fetching it page by page
# would take a quarter of all time. Blocks of more than 32 MiB, such as weights of large networks, are given back.
WORKER_SETTINGS = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "268435456",
}

NICENESS, MOST_NICENESS = 10, 19  # 10: a tenth of a core beside a program of normal priority, half beside its equal

OWN_GROUP: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}  # Ctrl-C goes to its parent

WATCH_SECONDS = 0.5

LEAST_SECONDS = 1.0  # between two starts of one process, so that one that ends at once costs little

FAILED_STARTS = 3  # in a row, until they are reported if a signal ended each: fewer may be somebody's doing

ORDINARY = " - INFO - "  # in a line of Dask's log that explains nothing

SLOW_SECONDS = 8.0  # a start that takes longer is reported; on an idle machine it takes two seconds

# The process that starts others, which it tells them: they may look at their parent only after it has ended already.
PARENT = "SQUEEZELAB_PARENT"

READY = "SQUEEZELAB_READY"  # names the file that a process makes when it has started


def cores() -> int:
    """Returns how many processes can compute at once: the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def niceness(text: str) -> int:
    """Returns the nice value (0..MOST_NICENESS) that `text` says, NICENESS if it is empty. Raises ValueError."""
    if text and not (text.isdecimal() and int(text) <= MOST_NICENESS):
        raise ValueError(f"{NICE} must be an integer from 0 to {MOST_NICENESS}, got {text!r}")
    return int(text) if text else NICENESS


def use_one_thread() -> None:
    """Lets torch compute with one thread in this process, as in workers.

    The work of a slider's move is too small for more, and where browsers and workers keep the cores busy, threads that
    wait for each other take twice as long as one.
    """
    import torch  # the scheduler imports this module, and needs no torch

    torch.set_num_threads(1)


def dask_setup(server: Any) -> None:
    """Dask calls this in each scheduler and worker when it starts. Workers give up some priority.

    Both go without Dask's statistics of spans, of which the scheduler never forgets a group of tasks. A worker that had
    them would report them to a scheduler that has not.
    """
    server.extensions.pop("spans", None)
    me = psutil.Process()
    if hasattr(server, "nanny") and (nice_value := niceness(os.environ.get(NICE, ""))):
        me.nice(max(nice_value, me.nice()) if os.name == "posix" else psutil.BELOW_NORMAL_PRIORITY_CLASS)
    if READY in os.environ:
        Path(os.environ[READY]).touch()


def _end_with_parent() -> None:
    """Ends this process when its parent has ended. It needs a thread: Dask waits for a scheduler without looking up."""
    me = psutil.Process()
    parent, starter = me.parent(), int(os.environ.pop(PARENT, me.ppid()))
    while parent is not None and parent.is_running() and me.ppid() == starter:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


if READY in os.environ:  # in a scheduler or a worker, which import this module first
    threading.Thread(target=_end_with_parent, daemon=True).start()


class Workers:
    """A scheduler and its workers. `tend` starts those that do not run and returns at once; starting takes seconds."""

    def __init__(self, count: int, preload: Sequence[str]) -> None:
        """Starts `count` workers that import the modules `preload` first. Raises OSError if that is not possible."""
        self._scratch = Scratch()
        self._folder = self._scratch.path
        self._contact = self._folder / "scheduler.json"
        modules = [word for module in (__name__, *preload) for word in ("--preload", module)]
        dask = [sys.executable, "-m"]
        common = [*LOOPBACK, "--scheduler-file", str(self._contact)]
        alone = ["--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--local-directory", str(self._folder)]
        scheduler = [*dask, "distributed.cli.dask_scheduler", *common, "--port", "0", *modules[:2]]
        worker = [*dask, "distributed.cli.dask_worker", *common, *alone, *modules]
        self._scheduler = _Process(scheduler, self._folder / "scheduler")
        self._workers = [_Process(worker, self._folder / f"worker{number}", WORKER_SETTINGS) for number in range(count)]
        self.tend()

    @property
    def pids(self) -> list[int]:
        """The processes of the workers that are alive."""
        return [worker.running.pid for worker in self._workers if worker.running and worker.is_alive]

    @property
    def problem(self) -> str | None:
        """Why a process does not start, which completes "The processes that compute …", or None."""
        return next((each.problem for each in (self._scheduler, *self._workers) if each.problem), None)

    @property
    def address(self) -> str | None:
        """The address of the scheduler, or None until it listens."""
        try:
            return json.loads(self._contact.read_text())["address"]
        except (OSError, ValueError):
            return None

    def tend(self) -> None:
        """Starts what does not run. Workers of a scheduler that has died are started anew. Raises OSError."""
        if not self._scheduler.is_alive:
            self._contact.unlink(missing_ok=True)
            for worker in self._workers:
                worker.kill()
        for process in (self._scheduler, *self._workers):
            process.tend()

    def close(self) -> None:
        """Ends all processes and removes their folder."""
        for process in (*self._workers, self._scheduler):
            process.kill()
        self._scratch.remove()


@dataclass
class _Process:
    """A process that is started again when it has ended.

        absent   -- tend, LEAST_SECONDS after the last start -->  starting
        starting -- it makes the file `_ready` -->                ready
        starting -- it ends, which counts as a failed start -->   absent
        ready    -- it ends -->                                   absent

    `log` is the file that its errors go to, `settings` are variables of its environment, beside SETTINGS.
    """

    command: list[str]
    log: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    running: subprocess.Popen[bytes] | None = None
    started_at: float = -math.inf
    failed_starts: int = 0
    last_words: str = ""

    @property
    def is_alive(self) -> bool:
        return self.running is not None and self.running.poll() is None

    @property
    def problem(self) -> str | None:
        """Why it does not start, with its last words, or None.

        It was ended FAILED_STARTS times before it was ready, or ended by itself once, or takes SLOW_SECONDS.
        """
        if self._ready.exists():
            return None
        if self.failed_starts >= FAILED_STARTS:
            return f"cannot start on this machine: {self.last_words}"
        seconds = time.monotonic() - self.started_at
        if self.is_alive and seconds > SLOW_SECONDS:
            words = self._log_end()
            reason = "the machine may be busy" if not words or ORDINARY in words else words
            return f"have not started after {seconds:.0f} seconds: {reason}"
        return None

    def tend(self) -> None:
        """Starts it if it does not run, but not twice within LEAST_SECONDS. Raises OSError."""
        if self.is_alive:
            return
        if self.running is not None:
            self._note_end(self.running.returncode)
            self.running = None
        if time.monotonic() - self.started_at >= LEAST_SECONDS:
            self._start()

    def kill(self) -> None:
        """Ends it, which counts as no failure."""
        if self.running is not None:
            self.running.kill()
            self.running.wait()
            self.running = None

    @property
    def _ready(self) -> Path:
        return self.log.with_suffix(".ready")

    def _note_end(self, status: int) -> None:
        if self._ready.exists():
            self.failed_starts = 0
            return
        self.failed_starts += 1 if status < 0 else FAILED_STARTS
        self.last_words = self._log_end() or f"the process ended with status {status}"

    def _log_end(self) -> str:
        """Returns the last line of the log, or nothing."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def _start(self) -> None:
        paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.started_at = time.monotonic()
        self._ready.unlink(missing_ok=True)
        own = {"PYTHONPATH": os.pathsep.join(paths), READY: str(self._ready)}
        if os.name == "posix":  # elsewhere the parent of a Python process may be one that starts Python
            own[PARENT] = str(os.getpid())
        with self.log.open("wb") as log:
            self.running = subprocess.Popen(
                self.command,
                env={**os.environ, **SETTINGS, **self.settings, **own},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                **OWN_GROUP,
            )
