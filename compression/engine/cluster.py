"""The engine: runs tasks with Dask, on this machine or on a cluster. The only file that imports `distributed`.

The environment variable DASK_SCHEDULER_ADDRESS names a cluster; without it, workers of this machine are started. A
task has a key, and equal keys are one task for all who use the same scheduler. The engine keeps each task until its
result is taken or the task is dropped, so that it survives the death of a worker, a scheduler or a whole cluster.
"""

import asyncio
import atexit
import concurrent.futures
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import dask
import torch
from distributed import Client, Future, KilledWorker, Security, get_worker
from distributed.protocol import pickle
from tornado.platform.asyncio import BaseAsyncIOLoop

from compression.engine.lru_cache import LruCache, forget_all, give_memory_back
from compression.engine.priorities import SHARED_VALUE
from compression.engine.workers import Workers, cores
from compression.errors import EngineError

ADDRESS = "DASK_SCHEDULER_ADDRESS"

CONNECT_SECONDS = 3

TRAVEL_SECONDS = 0.5  # that a look waits for results that are on their way

MOST_SHARED_VALUES, MOST_SHARED_BYTES = 8, 128_000_000

TaskKey = tuple[str, int]


def task_name(kind: str, *work: object) -> str:
    """Returns the name of the tasks of some `work`, in a TaskKey; equal for equal work, in all processes.

    The Python text of `work` must say all that the results depend on.
    """
    return f"{kind}-{hashlib.sha256(repr(work).encode()).hexdigest()[:24]}"


dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GB"})  # CIFAR-10 has 30 MB and travels once
dask.config.set({"distributed.admin.low-level-log-length": 10})  # as in workers.SETTINGS

logging.getLogger("distributed").handlers = [logging.NullHandler()]  # `notice` tells of broken connections


@dataclass(frozen=True)
class Shared:
    """An argument of many tasks, which travels to each worker once. Equal names mean equal values."""

    name: str
    value: Any = field(compare=False, repr=False)


@dataclass(frozen=True)
class _SharedValue:
    """A value that workers have, and its bytes on the way to them."""

    future: Future
    nbytes: int


@dataclass
class _Task:
    """What was asked for; `future` is None as long as there is no scheduler that knows it.

    `travel` brings the result here once the task is finished: a list of it, or of nothing if it is lost on the way.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    priority: int
    future: Future | None = None
    travel: concurrent.futures.Future[list[Any]] | None = None


class Engine:
    """Workers, and the tasks that were asked of them. No method waits for a task; all may be called from any thread."""

    def __init__(self, address: str | None = None, workers: int = 1, preload: Sequence[str] = ()) -> None:
        """Uses the cluster at `address` (default: DASK_SCHEDULER_ADDRESS), or this machine if the address is empty.

        On this machine it starts `workers` processes that import the modules `preload` first, at the first `take` or
        `tend`. If the cluster cannot be reached, `notice` says so, and this machine works in its place.
        """
        self.address = os.environ.get(ADDRESS, "") if address is None else address
        self._count, self._preload = workers, preload
        self._lock = threading.RLock()
        self._tasks: dict[TaskKey, _Task] = {}
        self._shared: LruCache[str, _SharedValue] = LruCache(
            MOST_SHARED_VALUES, MOST_SHARED_BYTES, lambda shared: shared.nbytes
        )
        self._used_at = time.monotonic()
        self._forgetting: list[Future] = []  # a task without a future would be cancelled
        self._client: Client | None = None
        self._workers: Workers | None = None
        self._cluster_notice = ""
        self._start_error = ""
        atexit.register(self.close)

    @property
    def local(self) -> bool:
        """Whether the workers are processes of this machine, which see the same files."""
        return not self.address

    @property
    def pending(self) -> list[TaskKey]:
        """The tasks that were asked for and neither taken nor dropped."""
        return list(self._tasks)

    @property
    def worker_pids(self) -> list[int]:
        """The processes of the workers that this engine started."""
        return self._workers.pids if self._workers else []

    @property
    def notice(self) -> str | None:
        """Sentences for the reader: on a cluster that cannot be used, on workers that cannot start; or None."""
        problem = self._start_error or (self._workers.problem if self._workers else None)
        trouble = f"The processes that compute {problem}" if problem else ""
        return " ".join(filter(None, (self._cluster_notice, trouble))) or None

    def ask(self, key: TaskKey, function: Callable[..., Any], *arguments: Any, priority: int = 0) -> None:
        """Asks for `function(*arguments)`; the highest priority runs first. A key that is pending is ignored."""
        with self._lock:
            self._used_at = time.monotonic()
            if key not in self._tasks:
                self._tasks[key] = _Task(function, arguments, priority)
                self._submit(key)

    def take(self, keys: Iterable[TaskKey]) -> dict[TaskKey, Any]:
        """Returns the results among `keys` that are there, each once. Raises EngineError for a task that failed."""
        with self._lock:
            self._used_at = time.monotonic()
            self.tend()
            ready = [key for key in list(keys) if key in self._tasks and self._is_ready(key)]
            results = self._fetch(ready)
            self.drop(results)
            return results

    def drop(self, keys: Iterable[TaskKey]) -> None:
        """Gives up these tasks; those that no other process asks for are not begun."""
        with self._lock:
            for key in list(keys):
                task = self._tasks.pop(key, None)
                if task and task.future is not None:
                    task.future.release()

    def tend(self) -> None:
        """Connects as soon as there is a scheduler, and starts again what has died. `take` calls this."""
        with self._lock:
            if self._client is not None and self._client.status != "running":
                self._disconnect()
                if not self.local:
                    self._stand_in("does not answer any more")
            if self.local:
                self._tend_workers()
            if self._client is None:
                self._connect()

    def rest(self, seconds: float) -> bool:
        """Gives memory back if nobody has asked for some `seconds`; returns whether it did.

        What is shared is dropped once no pending task needs it, and on this machine workers forget what they keep for
        later tasks.
        """
        with self._lock:
            if not self._shared or self._client is None or time.monotonic() - self._used_at < seconds:
                return False
            self._shared.clear()
            client, local = self._client, self.local
        if local:
            with suppress(OSError, TimeoutError, concurrent.futures.CancelledError):  # the scheduler has just died
                workers = client.scheduler_info(n_workers=-1)["workers"]
                self._forgetting = [client.submit(forget_all, workers=[each], pure=False) for each in workers]
                client.run_on_scheduler(give_memory_back)
        return True

    def close(self) -> None:
        """Ends the workers that this engine started; the next task starts new ones."""
        with self._lock:
            self._disconnect()
            if self._workers:
                self._workers.close()
                self._workers = None

    def _is_ready(self, key: TaskKey) -> bool:
        """Whether the task is finished. A lost one is submitted again. Raises EngineError if it failed."""
        future = self._tasks[key].future
        if future is None or future.status in ("cancelled", "lost"):
            self._submit(key)
            return False
        if future.status == "error":
            reason = future.exception()
            self.drop([key])
            if isinstance(reason, KilledWorker):
                raise EngineError("workers died repeatedly while they computed this; is there enough memory?")
            raise EngineError(str(reason) or type(reason).__name__)
        return future.status == "finished"

    def _tend_workers(self) -> None:
        try:
            self._workers = self._workers or Workers(self._count, self._preload)
            self._workers.tend()
            self._start_error = ""
        except OSError as error:
            self._start_error = f"cannot start on this machine: {error}"

    def _connect(self) -> None:
        address = (self._workers.address if self._workers else None) if self.local else self.address
        if not address:
            return
        security = Security(require_encryption=False) if self.local else None  # None: as Dask's settings say
        try:
            self._client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False, security=security)
        except (OSError, ValueError) as error:
            if not self.local:
                self._stand_in(f"cannot be reached ({error})")
                self.tend()

    def _stand_in(self, why: str) -> None:
        self._cluster_notice = f"The cluster at {self.address} {why}; this machine works in its place."
        self.address = ""

    def _disconnect(self) -> None:
        """Forgets the futures of this client; their tasks stay and are submitted to the next one."""
        for task in self._tasks.values():
            task.future = task.travel = None
        self._shared.clear()
        if self._client is not None:
            self._client.close(timeout=1)
            self._client = None

    def _submit(self, key: TaskKey) -> None:
        if self._client is None:
            return
        task = self._tasks[key]
        arguments = [self._share(item) if isinstance(item, Shared) else item for item in task.arguments]
        task.future = self._client.submit(task.function, *arguments, key=key, priority=task.priority)
        if task.future.status == "error":  # Dask still remembers that an earlier task of this key failed
            task.future.retry()

    def _share(self, shared: Shared) -> Future:
        """Returns the value as the result of a task, so that it can be made again if a worker dies with it."""
        there = self._shared.get(shared.name)
        if there is not None and there.future.status in ("cancelled", "lost", "error"):
            self._shared.discard(shared.name)
        return self._shared.use(shared.name, lambda: self._submit_value(shared)).future

    def _submit_value(self, shared: Shared) -> "_SharedValue":
        assert self._client is not None
        content = pickle.dumps(shared.value)
        future = self._client.submit(pickle.loads, content, key=shared.name, priority=SHARED_VALUE)
        return _SharedValue(future, len(content))

    def _fetch(self, keys: list[TaskKey]) -> dict[TaskKey, Any]:
        """Returns the results that are here within TRAVEL_SECONDS. A worker that has just died, or stands still, sends
        none: the others stay on their way, or are computed anew, while the next look goes on."""
        travels = {key: self._travel(self._tasks[key]) for key in keys}
        done, _ = concurrent.futures.wait(travels.values(), TRAVEL_SECONDS)
        results = {}
        for key, travel in travels.items():
            if travel in done:
                self._tasks[key].travel = None
                with suppress(OSError, concurrent.futures.CancelledError):  # the scheduler has just died
                    for result in travel.result():
                        results[key] = result
        return results

    def _travel(self, task: _Task) -> concurrent.futures.Future[list[Any]]:
        if task.travel is None:
            assert self._client is not None
            assert isinstance(self._client.loop, BaseAsyncIOLoop)
            coming = self._client.gather([task.future], errors="skip", direct=False, asynchronous=True)
            task.travel = asyncio.run_coroutine_threadsafe(coming, self._client.loop.asyncio_loop)
        return task.travel


@cache
def engine() -> Engine:
    """Returns the engine of this process: one worker per core; with a GPU two, so that one prepares what comes next."""
    return Engine(workers=2 if torch.cuda.is_available() else cores(), preload=("compression.engine.tasks",))


def tasks_at_once() -> int:
    """Returns how many tasks the worker that calls this runs at once, each in a thread of its process."""
    return get_worker().state.nthreads
