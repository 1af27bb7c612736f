"""Where work runs: Dask, on this machine or on a cluster. The only file that imports `distributed`.

DASK_SCHEDULER_ADDRESS names a cluster; without one, workers of this machine are started. Work is a task with a key:
equal keys are one task, for all who use the same scheduler. What was asked for is kept here until it is taken or
dropped, so that it survives the death of a worker, of the scheduler, and of the whole cluster.
"""

import atexit
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import dask
import torch
from distributed import Client, Future, KilledWorker, get_worker

from compression.engine.workers import Workers, cores
from compression.errors import EngineError

ADDRESS = "DASK_SCHEDULER_ADDRESS"

CONNECT_SECONDS = 3

MOST_SHARED = 8

FIRST = 1 << 60  # before any other priority

Key = tuple[str, int]

dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GB"})  # CIFAR-10 has 30 MB, and goes once

logging.getLogger("distributed").handlers = [logging.NullHandler()]  # a connection that breaks is mended and told here


@dataclass(frozen=True)
class Shared:
    """An argument of many tasks that travels to a worker once. Equal names mean equal values."""

    name: str
    value: Any = field(compare=False, repr=False)


@dataclass
class _Asked:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    priority: int
    future: Future | None = None


class Engine:
    """Workers, and what was asked of them. No call waits for work, and all may come from any thread."""

    def __init__(self, address: str | None = None, workers: int = 1, preload: Sequence[str] = ()) -> None:
        """Uses the cluster at `address` (default: DASK_SCHEDULER_ADDRESS), or this machine where there is none.

        Here it starts `workers` processes, which import `preload` first; not before there is work, or `tend`. A
        cluster that cannot be reached leaves a sentence in `notice`, and this machine works in its place.
        """
        self.address = os.environ.get(ADDRESS, "") if address is None else address
        self.notice: str | None = None
        self._count, self._preload = workers, preload
        self._lock = threading.RLock()
        self._asked: dict[Key, _Asked] = {}
        self._shared: dict[str, Future] = {}
        self._client: Client | None = None
        self._workers: Workers | None = None
        atexit.register(self.close)

    @property
    def local(self) -> bool:
        """Whether the workers are processes of this machine, which see the same files."""
        return not self.address

    @property
    def worker_pids(self) -> list[int]:
        """The processes of this engine's own workers."""
        return self._workers.pids if self._workers else []

    def ask(self, key: Key, function: Callable[..., Any], *arguments: Any, priority: int = 0) -> None:
        """Wants `function(*arguments)`, the highest priority first. What is asked for already is not asked again."""
        with self._lock:
            if key not in self._asked:
                self._asked[key] = _Asked(function, arguments, priority)
                self._submit(key)

    def take(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Those results among `keys` that are there, each given once. Raises EngineError for a task that failed."""
        with self._lock:
            self.tend()
            ready = []
            for key in [key for key in keys if key in self._asked]:
                future = self._asked[key].future
                if future is None or future.status in ("cancelled", "lost"):
                    self._submit(key)
                elif future.status == "error":
                    reason = future.exception()
                    self.drop([key])
                    if isinstance(reason, KilledWorker):
                        raise EngineError("workers died again and again over it; is there too little memory?")
                    raise EngineError(str(reason) or type(reason).__name__)
                elif future.status == "finished":
                    ready.append(key)
            found = self._gather(ready)
            self.drop(found)
            return found

    def drop(self, keys: Iterable[Key]) -> None:
        """Does not want these any more: a task that nobody wants is not begun."""
        with self._lock:
            for key in list(keys):
                asked = self._asked.pop(key, None)
                if asked and asked.future is not None:
                    asked.future.release()

    def tend(self) -> None:
        """Connects as soon as there is somebody to connect to, and starts again what has died. Called by `take`."""
        with self._lock:
            if self._client is not None and self._client.status != "running":
                self._disconnect()
                if not self.local:
                    self._stand_in("does not answer any more")
            if self.local:
                self._workers = self._workers or Workers(self._count, self._preload)
                self._workers.tend()
            if self._client is None:
                self._connect()

    def close(self) -> None:
        """Ends the workers that this engine started. What comes after starts new ones."""
        with self._lock:
            self._disconnect()
            if self._workers:
                self._workers.close()
                self._workers = None

    def _connect(self) -> None:
        address = self._workers.address if self._workers else self.address
        if not address:
            return
        try:
            self._client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            if not self.local:
                self._stand_in(f"cannot be reached ({error})")
                self.tend()

    def _stand_in(self, why: str) -> None:
        self.notice = f"The cluster at {self.address} {why}; this machine works in its place."
        self.address = ""

    def _disconnect(self) -> None:
        """Forgets the futures of this client; what was asked for stays asked."""
        for asked in self._asked.values():
            asked.future = None
        self._shared.clear()
        if self._client is not None:
            self._client.close(timeout=1)
            self._client = None

    def _submit(self, key: Key) -> None:
        if self._client is None:
            return
        asked = self._asked[key]
        arguments = [self._share(item) if isinstance(item, Shared) else item for item in asked.arguments]
        asked.future = self._client.submit(asked.function, *arguments, key=key, priority=asked.priority)
        if asked.future.status == "error":  # the failure of before, which Dask has not let go of yet
            asked.future.retry()

    def _share(self, shared: Shared) -> Future:
        """The value as a task's result: a worker that dies with it is no loss."""
        assert self._client is not None
        future = self._shared.pop(shared.name, None)
        if future is None or future.status in ("cancelled", "lost", "error"):
            future = self._client.submit(_itself, shared.value, key=shared.name, priority=FIRST)
        self._shared[shared.name] = future
        while len(self._shared) > MOST_SHARED:
            del self._shared[next(iter(self._shared))]
        return future

    def _gather(self, keys: list[Key]) -> dict[Key, Any]:
        if not keys or self._client is None:
            return {}
        try:
            return self._client.gather({key: self._asked[key].future for key in keys}, errors="skip", direct=False)
        except OSError:
            return {}  # the scheduler has just died; what was asked for is asked again


@cache
def engine() -> Engine:
    """The engine of this process: a worker a core, or two for a GPU: one prepares while the other computes."""
    return Engine(workers=2 if torch.cuda.is_available() else cores(), preload=("compression.engine.tasks",))


def tasks_at_once() -> int:
    """How many tasks the worker that calls this computes at once, each in a thread of its process."""
    return get_worker().state.nthreads


def _itself(value: Any) -> Any:
    return value
