"""Looks inside networks in the background; shared by all sessions, readable while running.

A look is a list of calls that workers make, behind all evaluations. It is

    resting     nothing more is asked for, though calls that were asked for are still taken
    running     up to CALLS_AHEAD calls are asked for
    done        all results are there

    resting -> running    a look has `go`
    running -> resting    a look has `go=False`, or a call fails: then its calls are dropped
    any     -> done       the last result comes back

Results are kept in memory, those of the last MOST_LOOKS looks.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from compression.engine.cluster import Engine, TaskKey, task_name
from compression.engine.lru_cache import LruCache
from compression.engine.priorities import scan_priority
from compression.engine.progress import Pace, follow
from compression.errors import EngineError
from compression.results.provenance import arithmetic

CALLS_AHEAD = 6

MOST_LOOKS = 64


@dataclass(frozen=True, eq=False)
class Call:
    """A call of `function` that a worker makes. `name` says all that its result depends on."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class InspectionReading:
    """What is known of a look at one moment: `results` of its calls, in their order, None where they are missing."""

    results: tuple[Any, ...]
    seconds_left: float | None = None
    notice: str | None = None
    error: str | None = None

    @property
    def share(self) -> float:
        """The share (0..1) of the calls that are done."""
        return sum(each is not None for each in self.results) / len(self.results)

    @property
    def done(self) -> bool:
        """Whether all results are there."""
        return all(each is not None for each in self.results)


@dataclass(eq=False)
class _State:
    task: str
    results: list[Any]
    pending: set[int] = field(default_factory=set)
    pace: Pace | None = None

    @property
    def share(self) -> float:
        return sum(each is not None for each in self.results) / len(self.results)

    @property
    def tasks(self) -> list[TaskKey]:
        return [(self.task, number) for number in self.pending]


class Inspector:
    """The looks of all sessions of this process. Every method may be called from any thread; only `follow` waits."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.RLock()
        self._states: LruCache[str, _State] = LruCache(MOST_LOOKS, on_removal=self._drop)

    @property
    def engine(self) -> Engine:
        return self._engine

    def look(self, calls: Sequence[Call], go: bool = True) -> InspectionReading:
        """Returns what is known now; with `go`, asks workers for more, else lets the look rest."""
        task = _task(calls)
        with self._lock:
            state = self._states.use(task, lambda: _State(task, [None] * len(calls)))
            error = self._advance(state, calls, go)
            left = state.pace.seconds_left(state.share) if state.pace else None
            return InspectionReading(tuple(state.results), left, self._engine.notice, error)

    def look_in_turn(self, parts: Sequence[Sequence[Call]], go: bool = True) -> InspectionReading:
        """Returns what is known of several looks together; each goes on once those before it are done."""
        readings: dict[str, InspectionReading] = {}
        for calls in parts:  # a look that occurs twice is asked once: a rest would drop what the other one asked for
            if (name := _task(calls)) not in readings:
                readings[name] = self.look(calls, go and all(each.done for each in readings.values()))
        results = tuple(result for calls in parts for result in readings[_task(calls)].results)
        missing = sum(each is None for each in results)
        return InspectionReading(
            results,
            next((_per_call(each) * missing for each in readings.values() if each.seconds_left is not None), None),
            self._engine.notice,
            next((each.error for each in readings.values() if each.error), None),
        )

    def follow(self, *parts: Sequence[Call]) -> Iterator[InspectionReading]:
        """Yields readings until all looks are done, one after the other. Raises EngineError if a call fails."""
        return follow(partial(self.look_in_turn, parts))

    def _advance(self, state: _State, calls: Sequence[Call], go: bool) -> str | None:
        try:
            for (_, number), result in (self._engine.take(state.tasks) if state.pending else {}).items():
                state.pending.discard(number)
                state.results[number] = result
            if not go:
                self._drop(state)
                state.pace = None
            else:
                state.pace = state.pace or Pace.from_now(state.share)
                self._ask(state, calls)
        except EngineError as error:
            self._drop(state)
            return str(error)
        return None

    def _ask(self, state: _State, calls: Sequence[Call]) -> None:
        for number, call in enumerate(calls):
            if len(state.pending) >= CALLS_AHEAD:
                return
            if state.results[number] is None and number not in state.pending:
                priority = scan_priority(0, len(calls), number)
                self._engine.ask((state.task, number), call.function, *call.arguments, priority=priority)
                state.pending.add(number)

    def _drop(self, state: _State) -> None:
        self._engine.drop(state.tasks)
        state.pending.clear()


def _task(calls: Sequence[Call]) -> str:
    """Returns the name of the tasks of a look."""
    return task_name("inside", arithmetic(), *(call.name for call in calls))


def _per_call(reading: InspectionReading) -> float:
    """Returns the seconds that each missing call of a look takes, as far as that is known."""
    missing = sum(each is None for each in reading.results)
    return (reading.seconds_left or 0.0) / missing if missing else 0.0
