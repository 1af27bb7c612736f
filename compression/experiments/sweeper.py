"""Sweeps in the background: evaluates many specs and counts their costs; shared by all sessions, readable at any time.

Each spec of a sweep is in one of four states:

    waiting     SPECS_AHEAD other specs before it are not done
    running     its images are evaluated, and its costs are counted
    failed      a task failed; the sweep goes on with the other specs
    done        its evaluation and its costs are there and stored

    waiting -> running    one of the specs before it is done or has failed, and a look has `go`
    running -> done       the last chunk of images and the costs have come back
    running -> failed     a task fails
    failed  -> waiting    the sweep was stopped, and is started again
    running -> waiting    a look has `go=False`
    any     -> done       the store or the committed landscape has it when the sweep is first looked at
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from compression.engine.cluster import Engine, Shared
from compression.engine.evaluator import Evaluator
from compression.engine.lru_cache import LruCache
from compression.engine.priorities import LATER
from compression.engine.progress import Pace, follow
from compression.errors import EngineError
from compression.experiments.sweep import SweepReading
from compression.experiments.sweep_state import SpecState, SweepState, spec_states
from compression.experiments.tasks import count_costs
from compression.networks.model import FloatModel
from compression.results.provenance import arithmetic
from compression.results.store import Store
from compression.spec import CompressionSpec

SPECS_AHEAD = 3

MOST_SWEEPS = 8

Models = Mapping[str, FloatModel]


class Sweeper:
    """The sweeps of all sessions of this process. Every method may be called from any thread; only `follow` waits."""

    def __init__(self, engine: Engine, store: Store, evaluator: Evaluator) -> None:
        """`evaluator` uses the same engine and store."""
        self._engine, self._store, self._evaluator = engine, store, evaluator
        self._lock = threading.RLock()
        self._states: LruCache[tuple[CompressionSpec, ...], SweepState] = LruCache(MOST_SWEEPS)

    def look(self, models: Models, specs: Sequence[CompressionSpec], go: bool = True) -> SweepReading:
        """Returns what is known now of `specs`, each of the one of `models` that it names; with `go`, asks for more."""
        with self._lock:
            state = self._states.use(tuple(specs), lambda: self._new_state(models, specs))
            for each in state.specs:
                each.lend(models[each.spec.model])
            if go and state.pace is None:
                _start(state)
            pending = [each for each in state.specs if not each.done]
            for slot, each in enumerate(pending[:SPECS_AHEAD]):
                self._advance(f"{state.who} {slot}", each, go)
            if not go:
                state.pace = None
            return self._reading(state)

    def follow(self, models: Models, specs: Sequence[CompressionSpec]) -> Iterator[SweepReading]:
        """Yields readings until each spec has a result or a failure."""
        return follow(partial(self.look, models, specs))

    def _new_state(self, models: Models, specs: Sequence[CompressionSpec]) -> SweepState:
        states = spec_states(models, specs)
        for each in states:
            each.evaluation = self._evaluator.known(each.model, each.spec)
            each.costs = self._evaluator.known_costs(each.model, each.spec)
        return SweepState(f"sweep-{id(states)}", states)

    def _advance(self, who: str, state: SpecState, go: bool) -> None:
        """Takes what has come back and, with `go`, asks for the rest."""
        try:
            if state.evaluation is None:
                self._evaluate(who, state, go)
            if state.costs is None:
                self._count(state, go)
        except EngineError as error:
            state.failure = str(error)

    def _evaluate(self, who: str, state: SpecState, go: bool) -> None:
        reading = self._evaluator.look(who, state.model, state.spec, go, urgent=False)
        if reading.error:
            raise EngineError(reading.error)
        state.evaluation, state.share = reading.whole, reading.images / reading.total

    def _count(self, state: SpecState, go: bool) -> None:
        task = state.costs_task
        state.costs = self._engine.take([task]).get(task)
        if state.costs:
            self._store.put_costs(self._evaluator.key(state.model, state.spec), state.costs)
        elif go:
            model = Shared(f"network-{state.model.digest}", state.model)
            self._engine.ask(task, count_costs, model, state.spec, arithmetic(), priority=LATER)
        else:
            self._engine.drop([task])

    def _reading(self, state: SweepState) -> SweepReading:
        for name, model in state.models.items():
            if name not in state.before and (before := self._evaluator.known(model, CompressionSpec(name))):
                state.before[name] = before
        return SweepReading(
            specs=tuple(each.spec for each in state.specs),
            results=tuple(each.result for each in state.specs if each.result),
            before=dict(state.before),
            failures={each.spec: each.failure for each in state.specs if each.failure},
            share=state.share,
            seconds_left=state.seconds_left,
            notice=self._engine.notice or self._store.problem,
        )


def _start(state: SweepState) -> None:
    """Starts the pace, and tries again what has failed."""
    for each in state.specs:
        each.failure = None
    state.pace = Pace.from_now(state.share)
