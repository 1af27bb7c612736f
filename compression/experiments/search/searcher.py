"""The smallest file within a drop of accuracy, or the best network within a number of bytes: searched for on one half
of the test images, asked for by many, told at any time, kept for good.

Optuna proposes; what it proposes is tried on few images first, and on more only as long as it may still win. When all
is tried, one winner and the best uniform spec are picked by the search half. Only then both are evaluated on all
images, and the half held back says what the winner is worth.
"""

import hashlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compression.data.cifar10 import TEST
from compression.data.images import ImageSet
from compression.engine.cluster import Engine, Shared
from compression.engine.evaluator import Evaluator
from compression.engine.priorities import LATER
from compression.engine.progress import POLL_SECONDS
from compression.engine.tasks import evaluate_rows
from compression.errors import EngineError
from compression.evaluation.evaluation import BATCH, Evaluation, join
from compression.evaluation.subsets import HALF, SEARCH, Score, first_of, rows, score
from compression.experiments.scanner import Scanner
from compression.experiments.search.goal import Goal, Tried, best, may_win
from compression.experiments.search.history import Studies, Study
from compression.experiments.search.outcome import Outcome, outcome
from compression.experiments.search.reading import Phase, SearchReading
from compression.experiments.search.space import Space, space_of
from compression.experiments.tasks import count_costs
from compression.networks.model import FloatModel
from compression.results.costs import Costs
from compression.results.landscape import read_landscape
from compression.results.provenance import arithmetic, counting
from compression.results.store import Key, Store
from compression.spec import CompressionSpec
from compression.spec.grid import landscape_specs
from compression.spec.title import title

STAGES = (500, 1500, HALF)  # images

TRIALS = 150

AHEAD = 4  # trials on their way

MOST_KEPT = 16

SHARES = {"float": 0.02, "rivals": 0.13, "scan": 0.2, "trials": 0.6}  # of the work, about


@dataclass(eq=False)
class _Candidate:
    """A spec on its way through the search half: its first images `seen`, and chunk number -> evaluation beyond."""

    spec: CompressionSpec
    name: str
    seen: Evaluation | None = None
    costs: Costs | None = None
    parts: dict[int, Evaluation] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)

    @property
    def images(self) -> int:
        return self.seen.total if self.seen else 0


@dataclass(eq=False)
class _Searching:
    """A search on its way. `begun`: when, on the monotonic clock, and at which share."""

    model: FloatModel
    goal: Goal
    space: Space
    study: Study
    base: _Candidate
    smallest: tuple[_Candidate, ...]
    going: dict[int, _Candidate] = field(default_factory=dict)
    rivals: dict[CompressionSpec, _Candidate] | None = None
    judged: dict[CompressionSpec, Tried] = field(default_factory=dict)
    known: tuple[Tried, ...] | None = None
    phase: Phase = Phase.FLOAT
    share: float = 0.0
    outcome: Outcome | None = None
    begun: tuple[float, float] | None = None

    @property
    def before(self) -> Score | None:
        return Score(self.base.seen.right) if self.base.seen and self.base.images == HALF else None

    @property
    def tried(self) -> tuple[Tried, ...]:
        return tuple(tried for _, tried in sorted(self.study.tried.items()))

    @property
    def uniform(self) -> tuple[Tried, ...]:
        return (*(self.known or ()), *(each for each in self.tried if not each.spec.layers), *self.judged.values())


class Searcher:
    """Searches of all sessions of this process. All may be called from any thread, and none waits for work."""

    def __init__(
        self, engine: Engine, store: Store, images: ImageSet, evaluator: Evaluator, path: Path | None = None
    ) -> None:
        """`images` are all test images, and `evaluator` is one of them, on the same engine and store. Histories are
        kept at `path`, beside the store if it is not given.
        """
        self._engine, self._store, self._images, self._evaluator = engine, store, images, evaluator
        self._scanner = Scanner(engine, store, images, SEARCH)
        self._studies = Studies(path or store.path.with_name("searches.sqlite"))
        self._lock = threading.RLock()
        self._searchings: OrderedDict[tuple[str, Goal, int], _Searching] = OrderedDict()

    def look(
        self, model: FloatModel, goal: Goal, trials: int = TRIALS, seed: int = 0, go: bool = True
    ) -> SearchReading:
        """What is known by now; with `go`, sees to it that more will be.

        Raises ValueError where there is nothing to search. `seed` counts where a search begins.
        """
        with self._lock:
            searching = self._searching(model, goal, seed)
            error = None
            try:
                self._advance(searching, trials, go)
                if not go:
                    self._rest(searching)
            except (EngineError, ValueError) as failure:
                self._rest(searching)
                error = str(failure)
            return self._reading(searching, trials, error)

    def follow(self, model: FloatModel, goal: Goal, trials: int = TRIALS, seed: int = 0) -> Iterator[SearchReading]:
        """Readings, one after another, until it is done. Raises EngineError where a worker fails."""
        while not (reading := self.look(model, goal, trials, seed)).done:
            if reading.error:
                raise EngineError(reading.error)
            yield reading
            time.sleep(POLL_SECONDS)
        yield reading

    def _searching(self, model: FloatModel, goal: Goal, seed: int) -> _Searching:
        place = model.digest, goal, seed
        if place not in self._searchings:
            space = space_of(model)
            name = f"{model.digest} {goal} {seed} {arithmetic()} {counting()}"
            study = self._studies.open(name, space, goal, seed)
            base = self._candidate(model, CompressionSpec(model.name), f"{goal} float")
            smallest = tuple(self._candidate(model, spec, f"{goal} smallest") for spec in space.smallest)
            self._searchings[place] = _Searching(model, goal, space, study, base, smallest)
            while len(self._searchings) > MOST_KEPT:
                self._rest(self._searchings.popitem(last=False)[1])
        self._searchings.move_to_end(place)
        return self._searchings[place]

    def _advance(self, searching: _Searching, trials: int, go: bool) -> None:
        """As far as it goes now: each step begins when the one before it is done."""
        if go and searching.begun is None:
            searching.begun = time.monotonic(), searching.share
        searching.phase, searching.share = Phase.FLOAT, 0.0
        if searching.goal.bytes is not None and not self._possible(searching, go):
            return
        if not self._see(searching, searching.base, HALF, go):
            searching.share = SHARES["float"] * len(searching.base.parts) * BATCH / HALF
            return
        if searching.known is None:
            searching.known = self._known(searching)
        if not self._rivals_tried(searching, go) or (not searching.study.seeded and not self._seed(searching, go)):
            return
        searching.phase = Phase.TRIALS
        self._try(searching, trials, go)
        done = min(1.0, len(searching.study.tried) / trials)
        searching.share = SHARES["float"] + SHARES["rivals"] + SHARES["scan"] + SHARES["trials"] * done
        if done == 1 and not searching.going:
            self._confirm(searching, go)

    def _possible(self, searching: _Searching, go: bool) -> bool:
        """Whether the smallest file is counted. Raises ValueError where even that is too large."""
        limit = searching.goal.most_bytes
        counted = [(self._count(searching, each, go), each.spec) for each in searching.smallest]
        files = [(costs.file, spec) for costs, spec in counted if costs]
        if len(files) < len(counted):
            return False
        least, spec = min(files, key=lambda file: file[0])
        if least > limit:
            raise ValueError(
                f"nothing fits within {limit:,} bytes: the smallest file of {searching.model.name} that a search can "
                f"make ({title(spec)}) has {least:,}"
            )
        return True

    def _seed(self, searching: _Searching, go: bool) -> bool:
        """Whether the scans are whole, and told where to begin."""
        searching.phase = Phase.SCAN
        readings = [self._scanner.look(searching.model, specs, go=go) for specs in searching.space.alone]
        if error := next((each.error for each in readings if each.error), None):
            raise EngineError(error)
        done = sum(each.share for each in readings) / len(readings)
        searching.share = SHARES["float"] + SHARES["rivals"] + SHARES["scan"] * done
        whole = all(each.done for each in readings)
        if whole:
            rival = best(searching.goal, searching.uniform, HALF)
            searching.study.seed(searching.space.seeds(readings, rival.spec if rival else None))
        return whole

    def _known(self, searching: _Searching) -> tuple[Tried, ...]:
        """What was measured beforehand, on the search half."""
        found = [read_landscape(searching.model).get(spec) for spec in landscape_specs(searching.model.name)]
        return tuple(
            self._tried(searching, each.spec, each.costs.file, score(each.evaluation, SEARCH)) for each in found if each
        )

    def _try(self, searching: _Searching, trials: int, go: bool) -> None:
        """A few at a time, so that no worker waits for the last images of one of them."""
        study = searching.study
        for number in study.running:
            if number not in searching.going:
                searching.going[number] = self._proposed(searching, number)
        for number, candidate in list(searching.going.items()):
            whole = [each for each in searching.tried if each.images == HALF and each.spec != candidate.spec]
            if tried := self._stage(searching, candidate, go, whole):
                study.tell(number, tried)
                self._drop(searching.going.pop(number))
        while go and len(searching.going) < AHEAD and len(study.tried) + len(searching.going) < trials:
            number = study.ask()
            searching.going[number] = self._proposed(searching, number)
            self._stage(searching, searching.going[number], go, ())

    def _rivals_tried(self, searching: _Searching, go: bool) -> bool:
        """Whether all rivals are tried, or are no better than another uniform spec: of larger files the bytes alone are
        counted.
        """
        searching.phase = Phase.RIVALS
        if searching.rivals is None:
            known = {each.spec for each in searching.uniform}
            specs = [spec for spec in searching.space.rivals if spec not in known]
            searching.rivals = {
                spec: self._candidate(searching.model, spec, f"{searching.goal} rival") for spec in specs
            }
        waiting = 0
        for spec, candidate in list(searching.rivals.items()):
            if waiting == AHEAD:
                break
            whole = [each for each in searching.uniform if each.images == HALF]
            found, costs = best(searching.goal, whole, HALF), self._count(searching, candidate, go)
            smaller = found.bytes if found and searching.goal.drop is not None else math.inf
            if costs and costs.file >= min(smaller, searching.goal.most_bytes + 1):
                self._drop(searching.rivals.pop(spec))
            elif costs and (tried := self._stage(searching, candidate, go, whole)):
                searching.judged[spec] = tried
                self._drop(searching.rivals.pop(spec))
            else:
                waiting += 1
        left = len(searching.rivals) / len(searching.space.rivals)
        searching.share = SHARES["float"] + SHARES["rivals"] * (1 - left)
        return not searching.rivals

    def _proposed(self, searching: _Searching, number: int) -> _Candidate:
        spec = searching.space.spec(searching.study.running[number])
        return self._candidate(searching.model, spec, f"{searching.goal} {number}")

    def _stage(self, searching: _Searching, candidate: _Candidate, go: bool, whole: Sequence[Tried]) -> Tried | None:
        """What came of it, once its bytes are counted and more images would not make it the best beside those that were
        tried on the `whole` half.
        """
        costs = self._count(searching, candidate, go)
        stage = next(images for images in STAGES if images >= max(candidate.images, STAGES[0]))
        if not self._see(searching, candidate, stage, go) or costs is None:
            return None
        assert candidate.seen
        tried = self._tried(searching, candidate.spec, costs.file, Score(candidate.seen.right))
        if tried.images < HALF and may_win(searching.goal, tried, whole):
            self._see(searching, candidate, next(images for images in STAGES if images > tried.images), go)
            return None
        return tried

    def _tried(self, searching: _Searching, spec: CompressionSpec, nbytes: int, after: Score) -> Tried:
        assert searching.before
        change = searching.before.flips(after)
        return Tried(spec, nbytes, after.total, after.correct, change.lost, change.won)

    def _candidate(self, model: FloatModel, spec: CompressionSpec, who: str) -> _Candidate:
        """With what is known of it. Tasks go by `who`, for what is taken once is not there for another."""
        name = hashlib.sha256(f"{model.digest} {spec.to_json()} {who}".encode()).hexdigest()[:24]
        keys = [(Key.of(model, spec, first_of(SEARCH, images)), images) for images in reversed(STAGES)]
        half = self._images[SEARCH]
        found = (self._store.get(key, half[:images]) for key, images in keys)
        seen = next((each for each in found if each), None)
        return _Candidate(spec, name, seen, self._store.get_costs(Key.of(model, spec)))

    def _see(self, searching: _Searching, candidate: _Candidate, images: int, go: bool) -> bool:
        """Whether its first `images` of the search half are seen. Takes in what has come back, asks for the rest."""
        task = f"half-{candidate.name}"
        found = self._engine.take([(task, number) for number in candidate.asked]) if candidate.asked else {}
        for (_, number), part in found.items():
            candidate.asked.discard(number)
            candidate.parts[number] = part
        wanted = range(candidate.images // BATCH, images // BATCH)
        if wanted and all(number in candidate.parts for number in wanted):
            seen = [candidate.seen] if candidate.seen else []
            candidate.seen = join([*seen, *(candidate.parts.pop(number) for number in wanted)])
            key = Key.of(searching.model, candidate.spec, first_of(SEARCH, images))
            self._store.put(key, candidate.seen)
        elif go:
            for number in wanted:
                if number not in candidate.parts and number not in candidate.asked:
                    self._ask(searching.model, candidate, task, number)
        return candidate.images >= images

    def _ask(self, model: FloatModel, candidate: _Candidate, task: str, number: int) -> None:
        self._engine.ask(
            (task, number),
            evaluate_rows,
            Shared(f"network-{model.digest}", model),
            candidate.spec,
            rows(SEARCH)[number * BATCH : (number + 1) * BATCH],
            arithmetic(),
            None if self._engine.local else Shared(f"images-{TEST.fingerprint}", self._images),
            priority=LATER,
        )
        candidate.asked.add(number)

    def _count(self, searching: _Searching, candidate: _Candidate, go: bool) -> Costs | None:
        if candidate.costs is None:
            task, model = (f"costs-{candidate.name}", 0), searching.model
            candidate.costs = self._engine.take([task]).get(task)
            if candidate.costs:
                self._store.put_costs(Key.of(model, candidate.spec), candidate.costs)
            elif go:
                shared = Shared(f"network-{model.digest}", model)
                self._engine.ask(task, count_costs, shared, candidate.spec, arithmetic(), priority=LATER)
        return candidate.costs

    def _confirm(self, searching: _Searching, go: bool) -> None:
        """Picks by the search half, and then looks at all images."""
        searching.phase = Phase.CONFIRM
        winner = best(searching.goal, searching.tried, HALF, spare=True)
        uniform = best(searching.goal, searching.uniform, HALF)
        base = CompressionSpec(searching.model.name)
        wholes: dict[CompressionSpec, Evaluation] = {}
        for place, spec in enumerate(dict.fromkeys([base, *(each.spec for each in (winner, uniform) if each)])):
            who = f"search-{id(searching)}-{place}"
            reading = self._evaluator.look(who, searching.model, spec, go, urgent=False)
            if reading.error:
                raise EngineError(reading.error)
            if reading.whole:
                wholes[spec] = reading.whole
        if all(each.spec in wholes for each in (winner, uniform) if each) and base in wholes:
            searching.outcome = outcome(searching.goal, wholes[base], winner, uniform, wholes)
            searching.phase, searching.share = Phase.DONE, 1.0

    def _rest(self, searching: _Searching) -> None:
        """Nothing more is wanted until somebody looks again."""
        rivals = (searching.rivals or {}).values()
        for candidate in (searching.base, *searching.smallest, *searching.going.values(), *rivals):
            self._drop(candidate)
        searching.begun = None

    def _drop(self, candidate: _Candidate) -> None:
        self._engine.drop([(f"costs-{candidate.name}", 0), *((f"half-{candidate.name}", n) for n in candidate.asked)])
        candidate.asked.clear()

    def _reading(self, searching: _Searching, trials: int, error: str | None) -> SearchReading:
        return SearchReading(
            goal=searching.goal,
            phase=searching.phase,
            tried=searching.tried,
            uniform=searching.uniform,
            wanted=trials,
            best=best(searching.goal, searching.tried, HALF, spare=True),
            share=searching.share,
            before=searching.before,
            outcome=searching.outcome if searching.phase is Phase.DONE else None,
            seconds_left=_seconds_left(searching),
            notice=self._studies.problem or self._engine.notice or self._store.problem,
            error=error,
        )


def _seconds_left(searching: _Searching) -> float | None:
    if searching.begun is None:
        return None
    since, before = searching.begun
    gained = searching.share - before
    return (time.monotonic() - since) / gained * (1 - searching.share) if gained > 0 else None
