"""Evaluates specs in the background; shared by all sessions, readable while running, stored when complete.

An evaluation is split into chunks of images, which workers take in order. It is in one of three states:

    resting     some chunks are there, none is asked for
    running     up to CHUNKS_AHEAD chunks are asked for
    whole       all images are evaluated, and the result is stored

    resting -> running    somebody looks with `go`
    running -> running    chunks come back; the look that finds them asks for the next ones
    running -> resting    nobody looks any more, a look has `go=False`, a task fails, or there are too many evaluations
    any     -> whole      the last chunk comes back, or the store or the committed landscape has the result
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from weakref import ref

import numpy as np

from compression.core.record import CompressedModel
from compression.data.cifar10 import TEST
from compression.data.images import ImageSet
from compression.engine.cluster import Engine, Shared
from compression.engine.evaluation_state import EvaluationState, next_tasks, whole_evaluation
from compression.engine.lru_cache import LruCache
from compression.engine.priorities import evaluation_priority
from compression.engine.progress import follow
from compression.engine.tasks import evaluate_chunks
from compression.engine.watchers import Watchers
from compression.errors import EngineError
from compression.evaluation.evaluation import BATCH, Evaluation
from compression.evaluation.reading import Reading
from compression.evaluation.sampling import VisitingOrder, plain_order, visiting_order
from compression.evaluation.subsets import first
from compression.networks.model import FloatModel
from compression.results.costs import Costs
from compression.results.landscape import read_landscape
from compression.results.provenance import arithmetic
from compression.results.result import Result
from compression.results.store import Key, Store
from compression.spec import CompressionSpec

FIRST_CHUNKS = 8  # of a spec whose float network is not evaluated yet: a first number before the float network's turn

MOST_EVALUATIONS = 512

# Returns a compressed network, which workers then need not make themselves, or None until it is there.
NetworkSource = Callable[[], CompressedModel | None]


class Evaluator:
    """The evaluations of all sessions of this process. Every method may be called from any thread.

    Only `follow` and `evaluate` wait for workers.
    """

    def __init__(self, engine: Engine, store: Store, images: ImageSet, use_landscape: bool = False) -> None:
        """`images` are the test images, or the first of them.

        With `use_landscape`, results of the committed landscape are not evaluated again; they are on all test images.
        """
        self._engine, self._store, self._images = engine, store, images
        self._use_landscape = use_landscape and len(images) == TEST.images
        self._lock = threading.RLock()
        self._watchers: Watchers[EvaluationState] = Watchers()
        self._base_watchers: Watchers[EvaluationState] = Watchers()
        self._states: LruCache[tuple[Key, bool], EvaluationState] = LruCache(MOST_EVALUATIONS, on_removal=self._rest)

    def look(
        self,
        who: str,
        model: FloatModel,
        spec: CompressionSpec,
        go: bool = True,
        urgent: bool = True,
        compressed: NetworkSource | None = None,
    ) -> Reading:
        """Returns what is known of `spec` now; with `go`, asks workers for more, else lets its evaluation rest.

        `who` watches one spec at a time: the evaluation of its last one rests if nobody else watches that. Tasks that
        are not `urgent` come after all urgent ones. With `compressed`, workers get that network and are asked for
        nothing before it is there; without, each of them makes it. What `compressed` raises is EngineError.
        """
        with self._lock:
            as_float = CompressionSpec(spec.model)
            base = self._state(model, as_float, None)
            state = base if spec == as_float else self._state(model, spec, base.whole)
            self._watch(who, state, base, go)
            error = self._advance({state: compressed, base: None}, go, urgent)
            return self._reading(spec, state, base, error)

    def tidy(self) -> None:
        """Lets rest what nobody has looked at for a minute. `look` does so, too; this is for when nobody looks."""
        with self._lock:
            self._rest_unwatched([*self._watchers.forget(), *self._base_watchers.forget()])

    def follow(
        self, model: FloatModel, spec: CompressionSpec, urgent: bool = True, compressed: NetworkSource | None = None
    ) -> Iterator[Reading]:
        """Yields readings until all images are evaluated. Raises EngineError if a task fails."""
        who = f"follow-{uuid.uuid4().hex}"
        return follow(partial(self.look, who, model, spec, urgent=urgent, compressed=compressed))

    def evaluate(self, model: FloatModel, spec: CompressionSpec, urgent: bool = False) -> Evaluation:
        """Waits for the evaluation on all images, and returns it. Raises EngineError if a task fails."""
        *_, last = self.follow(model, spec, urgent)
        assert last.whole
        return last.whole

    def key(self, model: FloatModel, spec: CompressionSpec) -> Key:
        """Returns the key under which the evaluation on all images is stored."""
        return Key.of(model, spec, first(len(self._images)))

    def known(self, model: FloatModel, spec: CompressionSpec) -> Evaluation | None:
        """Returns the evaluation on all images, or None if it is not complete; asks workers for nothing."""
        key = self.key(model, spec)
        with self._lock:
            states = [self._states.get((key, is_ordered)) for is_ordered in (True, False)]
        whole = next((state.whole for state in states if state and state.whole), None)
        return whole or self._kept_evaluation(model, spec)[0]

    def known_costs(self, model: FloatModel, spec: CompressionSpec) -> Costs | None:
        """Returns the costs from the store or from the committed landscape, or None; asks workers for nothing."""
        costs = self._store.get_costs(self.key(model, spec))
        if costs is None and (result := self._committed(model, spec)):
            return result.costs
        return costs

    @property
    def active_watchers(self) -> int:
        """How many sessions have looked within the last seconds."""
        return self._watchers.active

    # ---- where a state comes from

    def _state(self, model: FloatModel, spec: CompressionSpec, before: Evaluation | None) -> EvaluationState:
        """Returns the evaluation of `spec` so far.

        Once the float network is evaluated (`before`), images are visited in the order that its margins give. Before
        that, the first chunks are evaluated in plain order. These are two states, and what is whole in one is so in
        the other.
        """
        key = self.key(model, spec)
        is_ordered = before is not None
        state = self._states.use((key, is_ordered), lambda: self._new_state(key, model, spec, before))
        state.lend(model)
        return state

    def _new_state(
        self, key: Key, model: FloatModel, spec: CompressionSpec, before: Evaluation | None
    ) -> EvaluationState:
        twin = self._states.get((key, before is None))
        known = (twin.whole, twin.measured_with) if twin and twin.whole else self._kept_evaluation(model, spec)
        order = _order(before) if before else plain_order(len(self._images))
        state = EvaluationState(ref(model), key, spec, order, 0, *known)
        waits_for_float = before is None and spec != CompressionSpec(spec.model)
        state.limit = min(FIRST_CHUNKS, state.chunks) if waits_for_float else state.chunks
        return state

    def _kept_evaluation(self, model: FloatModel, spec: CompressionSpec) -> tuple[Evaluation | None, str | None]:
        """Returns what is stored; or what the landscape has, with the version of torch that measured it."""
        evaluation = self._store.get(self.key(model, spec), self._images)
        if evaluation is None and (result := self._committed(model, spec)):
            return result.evaluation, read_landscape(model).torch
        return evaluation, None

    def _committed(self, model: FloatModel, spec: CompressionSpec) -> Result | None:
        return read_landscape(model).get(spec) if self._use_landscape else None

    # ---- what moves a state on

    def _watch(self, who: str, state: EvaluationState, base: EvaluationState, go: bool) -> None:
        """Notes that `who` waits for `state` and for its float network `base`, and lets rest what nobody waits for.

        The float network goes on for whoever looks at another spec of it, so that a slider does not begin it anew.
        """
        if not self._watchers.watches(who, state):
            state.asked_at = time.time()
        unwatched = [*self._watchers.look(who, state, stays=go), *self._base_watchers.look(who, base, stays=True)]
        self._rest_unwatched(unwatched)

    def _advance(self, sources: Mapping[EvaluationState, NetworkSource | None], go: bool, urgent: bool) -> str | None:
        """Takes what has come back and, with `go`, asks for what comes next; returns the error, or None."""
        try:
            for state, source in sources.items():
                self._take(state)
                if go:
                    self._ask(state, urgent, source)
        except EngineError as error:
            for state in sources:
                self._rest(state)
            return str(error)
        return None

    def _take(self, state: EvaluationState) -> None:
        if state.whole:
            return
        state.add(self._engine.take(state.tasks))
        if state.is_complete:
            state.whole = whole_evaluation(state, self._images)
            state.parts.clear()
            self._store.put(state.key, state.whole)

    def _ask(self, state: EvaluationState, urgent: bool, source: NetworkSource | None) -> None:
        if state.whole:
            return
        network = source() if source else None
        if source and network is None:
            return
        module = Shared(state.network_name, network.module) if network else None
        for chunks in next_tasks(state, urgent):
            task = f"{state.name}-{len(chunks)}", chunks.start
            self._engine.ask(
                task,
                evaluate_chunks,
                Shared(f"network-{state.model.digest}", state.model),
                state.spec,
                state.order.rows[chunks.start * BATCH : chunks.stop * BATCH].numpy().astype(np.uint16),
                arithmetic(),
                None if self._engine.local else Shared(f"images-{TEST.fingerprint}", self._images),
                module,
                priority=evaluation_priority(state.asked_at, chunks.start, urgent),
            )
            state.tasks[task] = chunks

    def _rest_unwatched(self, states: Iterable[EvaluationState]) -> None:
        for each in states:
            if not any(watchers.is_watched(each) for watchers in (self._watchers, self._base_watchers)):
                self._rest(each)

    def _rest(self, state: EvaluationState) -> None:
        self._engine.drop(state.tasks)
        state.tasks.clear()

    def _reading(
        self, spec: CompressionSpec, state: EvaluationState, base: EvaluationState, error: str | None
    ) -> Reading:
        """Returns the reading of `spec`, whose name for the network may differ from that in `state`."""
        stale = read_landscape(state.model).stale if self._use_landscape else None
        return Reading(
            spec=spec,
            order=plain_order(len(self._images)) if state.whole else state.order,
            visited=state.whole or state.visited,
            before=base.whole,
            seconds_left=state.seconds_left,
            notice=self._engine.notice or self._store.problem or stale,
            error=error,
            measured_with=state.measured_with,
        )


@lru_cache(maxsize=64)
def _order(before: Evaluation) -> VisitingOrder:
    return visiting_order(before)
