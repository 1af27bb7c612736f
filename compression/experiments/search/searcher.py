"""Searches in the background; shared by all sessions, readable while running, continued after a kill.

A search looks for the smallest file within a drop of accuracy, or for the best network within a number of bytes. It
goes through these phases, and each begins when the one before it is done:

    FLOAT      evaluates the float network on the search half; with a limit of bytes, counts the smallest files first
    RIVALS     tries uniform specs, which the winner has to beat
    SCAN       compresses each layer alone, so that the trials start with more bits where they matter
    TRIALS     tries what Optuna proposes: on few images first, on more as long as it may still win
    CONFIRM    picks the winner and the best uniform spec by the search half, then evaluates both on all images
    DONE       the outcome is there: the held-out half says what the winner is worth

Each look goes through the phases from the first one; those that are done cost nothing. Between looks a search is

    running    up to a few candidates are asked for; a look has `go`
    resting    nothing is asked for: a look has `go=False`, a task failed, or there are too many searches

What is complete is in the store and in the study of Optuna, so a search goes on where it was, also in another process.
"""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from weakref import ref

from compression.data.images import ImageSet
from compression.engine.cluster import Engine
from compression.engine.evaluator import Evaluator
from compression.engine.lru_cache import LruCache
from compression.engine.progress import follow
from compression.errors import EngineError, HistoryError
from compression.evaluation.subsets import HALF, SEARCH
from compression.experiments.scanner import Scanner
from compression.experiments.search.goal import Goal, pick
from compression.experiments.search.history import StudyFile
from compression.experiments.search.measuring import Measuring
from compression.experiments.search.reading import Phase, SearchReading
from compression.experiments.search.search_state import SearchState
from compression.experiments.search.space import Recovery, space_of
from compression.experiments.search.steps import STEPS, Tools
from compression.networks.model import FloatModel
from compression.results.provenance import arithmetic, counting
from compression.results.store import Store
from compression.spec import CompressionSpec

TRIALS = 150

MOST_SEARCHES = 16


class Searcher:
    """The searches of all sessions of this process. Every method may be called from any thread; only `follow` waits."""

    def __init__(
        self, engine: Engine, store: Store, images: ImageSet, evaluator: Evaluator, path: Path | None = None
    ) -> None:
        """`images` are all test images, and `evaluator` is one of them, on the same engine and store.

        The studies are kept in the file at `path`, by default beside the store.
        """
        self._engine, self._store = engine, store
        self._tools = Tools(Measuring(engine, store, images), Scanner(engine, store, images, SEARCH), evaluator)
        self._studies = StudyFile(path or store.path.with_name("searches.sqlite"))
        self._lock = threading.RLock()
        self._states: LruCache[tuple[str, Goal, int, Recovery], SearchState] = LruCache(
            MOST_SEARCHES, on_removal=self._rest
        )

    def look(
        self,
        model: FloatModel,
        goal: Goal,
        trial_count: int = TRIALS,
        seed: int = 0,
        go: bool = True,
        recovery: Recovery = (),
    ) -> SearchReading:
        """Returns what is known now; with `go`, asks workers for more, else lets the search rest.

        Searches with different `seed` or `recovery` are different searches. Raises ValueError if there is nothing to
        search.
        """
        with self._lock:
            key = model.digest, goal, seed, recovery
            state = self._states.use(key, lambda: self._new_state(model, goal, seed, recovery))
            for borrower in (state, *state.candidates):
                borrower.lend(model)
            state.trial_count = trial_count
            error = None
            try:
                self._advance(state, go)
            except HistoryError as failure:  # goes on with a new file, or in memory if there can be none
                self._rest(state)
                self._states.discard(key)
                self._studies.replace(failure)
                return self.look(model, goal, trial_count, seed, go, recovery)
            except (EngineError, ValueError) as failure:
                error = str(failure)
            if error or not go:
                self._rest(state)
            return self._reading(state, error)

    def follow(
        self, model: FloatModel, goal: Goal, trial_count: int = TRIALS, seed: int = 0, recovery: Recovery = ()
    ) -> Iterator[SearchReading]:
        """Yields readings until the search is done. Raises EngineError if a task fails."""
        return follow(partial(self.look, model, goal, trial_count, seed, recovery=recovery))

    def _new_state(self, model: FloatModel, goal: Goal, seed: int, recovery: Recovery) -> SearchState:
        space = space_of(model, recovery)
        steps = "".join(f" {name}={value}" for name, value in recovery)
        study = self._studies.open(
            f"{model.digest} {goal} {seed}{steps} {arithmetic()} {counting()}", space, goal, seed
        )
        base = self._tools.measuring.candidate(model, CompressionSpec(model.name), f"{goal} float")
        smallest = [self._tools.measuring.candidate(model, spec, f"{goal} smallest") for spec in space.smallest_specs]
        return SearchState(ref(model), goal, space, study, base, tuple(smallest))

    def _advance(self, state: SearchState, go: bool) -> None:
        """Goes through the phases up to the first one that is not done."""
        for phase, step in STEPS:
            state.phase, state.share_of_phase = phase, 0.0
            state.share_of_phase = step(self._tools, state, go)
            if state.share_of_phase < 1:
                break
        else:
            state.phase = Phase.DONE
        if go:
            state.meter.look()

    def _rest(self, state: SearchState) -> None:
        for candidate in state.candidates:
            self._tools.measuring.drop(candidate)
        state.meter.pause()

    def _reading(self, state: SearchState, error: str | None) -> SearchReading:
        return SearchReading(
            goal=state.goal,
            phase=state.phase,
            trials=state.trials,
            uniform=state.uniform,
            trial_count=state.trial_count,
            best=pick(state.goal, state.trials, HALF, surely=True),
            share=state.share,
            before=state.before,
            outcome=state.outcome if state.phase is Phase.DONE else None,
            seconds_left=state.seconds_left,
            notice=self._studies.problem or self._engine.notice or self._store.problem,
            error=error,
        )
