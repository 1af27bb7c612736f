"""Counts the bytes of packed files exactly, for all sessions: workers do it, since it takes longer than a slider may.

A file is

    waiting    workers are asked to count it
    counted    its ledger is there
    failed     it cannot be counted, so an estimate must do

    absent  -> waiting            a session looks at it
    waiting -> counted, failed    the task comes back
    waiting -> absent             no session waits for it any more: all look at others, or have not looked for a while
    counted, failed -> absent     MOST_FILES others were used since
"""

import threading
import time
from dataclasses import dataclass

from compression.core.record import CompressedModel
from compression.engine.cluster import Engine, Shared, TaskKey, task_name
from compression.engine.lru_cache import LruCache
from compression.engine.priorities import evaluation_priority
from compression.engine.watchers import Watchers
from compression.errors import EngineError
from compression.files.ledger import FileLedger, count_file
from compression.files.stored import compress_network
from compression.networks.model import FloatModel
from compression.results.provenance import arithmetic, check_version
from compression.spec import CompressionSpec

MOST_FILES = 1024  # whose ledgers stay; one takes a few kilobytes


@dataclass(eq=False)
class _Count:
    task: TaskKey
    ledger: FileLedger | None = None
    failed: bool = False


class FileCounter:
    """The packed files of all sessions of this process. No method waits; each may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.RLock()
        self._watchers: Watchers[_Count] = Watchers()
        self._counts: LruCache[tuple[str, CompressionSpec], _Count] = LruCache(MOST_FILES, on_removal=self._rest)

    def known(self, model: FloatModel, spec: CompressionSpec) -> FileLedger | None:
        """Returns where the bytes of the file go if that was counted; asks workers for nothing."""
        with self._lock:
            count = self._counts.get((model.digest, spec))
            return count.ledger if count else None

    def put(self, model: FloatModel, spec: CompressionSpec, ledger: FileLedger) -> None:
        """Keeps what was counted elsewhere."""
        with self._lock:
            self._counts.use((model.digest, spec), lambda: _Count(_task(model, spec))).ledger = ledger

    def look(
        self, who: str, model: FloatModel, spec: CompressionSpec, compressed: CompressedModel | None = None
    ) -> FileLedger | None:
        """Returns where the bytes of the file go, or None as long as workers count, and if they cannot.

        `who` waits for one file at a time. With `compressed`, workers get that network; without, they make it.
        """
        with self._lock:
            count = self._counts.use((model.digest, spec), lambda: _Count(_task(model, spec)))
            is_waiting = count.ledger is None and not count.failed
            for other in self._watchers.look(who, count, stays=is_waiting):
                self._rest(other)
            if is_waiting:
                self._advance(count, model, spec, compressed)
            return count.ledger

    def tidy(self) -> None:
        """Gives up the counts that nobody has looked at for a minute. `look` does so, too."""
        with self._lock:
            for count in self._watchers.forget():
                self._rest(count)

    def _advance(
        self, count: _Count, model: FloatModel, spec: CompressionSpec, compressed: CompressedModel | None
    ) -> None:
        try:
            count.ledger = self._engine.take([count.task]).get(count.task)
        except EngineError:
            count.failed = True
        if count.ledger is None and not count.failed:
            self._engine.ask(
                count.task,
                count_packed_file,
                Shared(f"network-{model.digest}", model),
                spec,
                arithmetic(),
                Shared(f"compressed-{count.task[0]}", compressed) if compressed else None,
                priority=evaluation_priority(time.time(), 1, urgent=True),
            )

    def _rest(self, count: _Count) -> None:
        self._engine.drop([count.task])


def count_packed_file(
    model: FloatModel, spec: CompressionSpec, version: str, compressed: CompressedModel | None = None
) -> FileLedger:
    """Returns where the bytes of the packed file of `model` go, which is compressed as `spec` says if it is not yet.

    Raises RuntimeError if the code here has another `version` than that of the process that asks.
    """
    check_version(version)
    return count_file(compressed or compress_network(model, spec), model)


def _task(model: FloatModel, spec: CompressionSpec) -> TaskKey:
    return task_name("file", model.digest, spec.to_json()), 0
