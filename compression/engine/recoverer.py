"""Compresses networks with steps that look at images, which takes seconds: one after another, in a thread.

A session waits for one network at a time. A network is

    waiting     others come first
    running     its layers are set, one after another
    final       it is there, or it is known why it cannot be

    absent  -> waiting             a session looks at it
    waiting -> running -> final    its turn comes, and its last layer is done
    waiting, running -> absent     no session waits for it: all look at others, or have not looked for FORGET_SECONDS
    final   -> absent              MOST_FINAL others were used since, or nobody has looked for KEEP_SECONDS
"""

import atexit
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from compression.core.compress import compress
from compression.core.record import CompressedModel
from compression.core.training_evidence import evidence_for
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec

FORGET_SECONDS = 10  # pages look twice in a second

KEEP_SECONDS = 600

CLOSE_SECONDS = 10

MOST_FINAL = 8

Key = tuple[str, CompressionSpec]


@dataclass(frozen=True, eq=False)
class RecoveryReading:
    """How far a network is: `layers` of `total` are done, in `seconds` so far. `total` is 0 until its turn comes.

    `network` is there once all is done. `error` says why it cannot be made.
    """

    layers: int = 0
    total: int = 0
    seconds: float = 0.0
    network: CompressedModel | None = None
    error: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.network is not None or self.error is not None

    @property
    def seconds_left(self) -> float | None:
        """The time left if the other layers take as long as those before; None before the first layer is done."""
        return self.seconds / self.layers * (self.total - self.layers) if self.layers else None


@dataclass(eq=False)
class _Work:
    """A network that is waiting or running, and what is known of it."""

    model: FloatModel
    spec: CompressionSpec
    reading: RecoveryReading


@dataclass(frozen=True, eq=False)
class _Final:
    reading: RecoveryReading
    looked_at: float


class _GivenUp(Exception):
    """Nobody waits for the network any more."""


class Recoverer:
    """The networks of all sessions of this process. `look` returns at once and may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._waiting: dict[Key, _Work] = {}
        self._wishes: dict[str, tuple[Key, float]] = {}  # session -> what it waits for, and when it looked
        self._final: dict[Key, _Final] = {}  # the one that was used least recently first
        self._thread: threading.Thread | None = None
        atexit.register(self.close)

    def close(self) -> None:
        """Gives up all work, and waits for the layer that is being computed."""
        with self._lock:
            self._wishes.clear()
            thread = self._thread
        if thread:
            thread.join(CLOSE_SECONDS)

    def look(self, session: str, model: FloatModel, spec: CompressionSpec) -> RecoveryReading:
        """Returns how far `model` compressed as `spec` says is, and goes on with it for `session`."""
        key, now = (model.digest, spec), time.monotonic()
        with self._lock:
            self._forget(now)
            if final := self._final.pop(key, None):
                self._wishes.pop(session, None)
                self._final[key] = _Final(final.reading, now)
                return final.reading
            self._wishes[session] = key, now
            work = self._waiting.setdefault(key, _Work(model, spec, RecoveryReading()))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="recoverer")
                self._thread.start()
            return work.reading

    def _run(self) -> None:
        while work := self._next():
            key = work.model.digest, work.spec
            start = time.monotonic()
            try:
                network = compress(
                    work.model.module, work.spec, evidence_for(work.model, work.spec), self._report(key, work, start)
                )
                _ = network.module  # re-estimates batch norm, which takes time too
                reading = RecoveryReading(seconds=time.monotonic() - start, network=network)
            except _GivenUp:
                continue
            except Exception as error:  # of any kind: the thread must go on for other sessions
                reading = RecoveryReading(seconds=time.monotonic() - start, error=str(error))
            with self._lock:
                self._waiting.pop(key, None)
                self._final[key] = _Final(reading, time.monotonic())

    def _next(self) -> _Work | None:
        """Returns the network that waits longest; None, and the thread ends, if none does."""
        with self._lock:
            for key in list(self._waiting):
                if not self._is_wished(key):
                    del self._waiting[key]
            if not self._waiting:
                self._thread = None
            return next(iter(self._waiting.values()), None)

    def _report(self, key: Key, work: _Work, start: float) -> Callable[[int, int], None]:
        def report(layers: int, total: int) -> None:
            with self._lock:
                if not self._is_wished(key):
                    raise _GivenUp
                work.reading = RecoveryReading(layers, total, time.monotonic() - start)

        return report

    def _forget(self, now: float) -> None:
        """Forgets networks that were not used for long, and what sessions waited for that do not look any more."""
        used = [key for key, final in self._final.items() if now - final.looked_at < KEEP_SECONDS][-MOST_FINAL:]
        self._final = {key: self._final[key] for key in used}
        self._wishes = {who: wish for who, wish in self._wishes.items() if now - wish[1] < FORGET_SECONDS}

    def _is_wished(self, key: Key) -> bool:
        self._forget(time.monotonic())
        return any(wish == key for wish, _ in self._wishes.values())
