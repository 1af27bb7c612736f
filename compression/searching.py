"""A search on its way: tried on workers, steered by Optuna, told at any time, stopped and gone on with at will.

It is a thread that waits for work, and rests as soon as nobody looks. Every trial that is done is in a file of
Optuna's (`studies`); a search that was stopped or killed goes on after it.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import optuna
import torch

from compression.arithmetic import arithmetic
from compression.chunks import evaluate_rows
from compression.cifar10 import TEST
from compression.compress import weighted_layers
from compression.costs import Costs
from compression.data import ImageSet
from compression.engine import Engine, EngineError, Shared
from compression.evaluate import BATCH, Evaluation
from compression.folding import folded
from compression.grids import grid, of_landscape, pruned
from compression.halves import compared, held_back_half, on_half, search_half
from compression.live import LAST, Evaluator
from compression.models.zoo import FloatModel
from compression.outcome import Report, SearchReading
from compression.search import (
    SCANNED,
    STAGES,
    Goal,
    Tried,
    best,
    may_be_chosen,
    seeds,
    spec_of,
)
from compression.sensitivity import alone
from compression.spec import CompressionSpec, Granularity, QuantSpec, Scheme
from compression.store import Store
from compression.studies import opened, space, tell, told
from compression.sweep import count_here

TRIALS = 150
AHEAD = 3  # specs on their way
POLL_SECONDS = 0.03
FORGET_SECONDS = 60
MOST_KEPT = 8
SCANNING, COMPARING, TRYING, REPORTING = "trying layers alone", "comparing uniform networks", "trying", "reporting"
HARMS = "scanned"


class _Stopped(Exception):
    """Nobody wants it to go on."""


@dataclass(eq=False)
class _Try:
    """A spec on its way. `parts`: chunk number -> which of its images are right."""

    spec: CompressionSpec
    choose: Callable[[Tried], bool]  # whether more images are worth it
    stages: Sequence[int]
    parts: dict[int, torch.Tensor] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)
    costs: Costs | None = None
    tried: Tried | None = None


class Search:
    """One search. `look` may be called from any thread, and never waits."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        images: ImageSet,
        path: Path,
        model: FloatModel,
        goal: Goal,
        trials: int,
        seed: int,
    ) -> None:
        self._engine, self._store, self._images, self._path = engine, store, images, path
        self._evaluator = Evaluator(engine, store, images, beforehand=True)
        self.model, self.goal, self.trials, self.seed = model, goal, trials, seed
        self._rows = search_half(len(images))
        self._stages = sorted({min(stage, len(self._rows)) for stage in STAGES})
        self._names = tuple(weighted_layers(model.module))
        self._fold = folded(model.module) is not model.module
        self._lock = threading.Lock()
        self._wanted = 0.0
        self._thread: threading.Thread | None = None
        self._began: tuple[float, float] | None = None
        self._before: Evaluation | None = None
        self._tried: dict[CompressionSpec, Tried] = {}
        self._uniform: list[Tried] = []
        self._reading = SearchReading(goal, (), (), None, None, "", 0.0)

    def look(self, go: bool = True) -> SearchReading:
        """What is known; with `go`, more will be, as long as somebody looks."""
        with self._lock:
            self._wanted = time.monotonic() if go else 0.0
            resting = self._thread is None or not self._thread.is_alive()
            if go and resting and not self._reading.done:
                self._began = None
                self._reading = replace(self._reading, error=None)
                self._thread = threading.Thread(target=self._run, name="search", daemon=True)
                self._thread.start()
            return self._reading

    def _run(self) -> None:
        try:
            self._search()
        except _Stopped:
            self._tell(seconds_left=None)
        except Exception as error:  # nobody else would hear of it
            self._tell(error=str(error) or type(error).__name__, seconds_left=None)

    def _search(self) -> None:
        self._tell(phase=SCANNING)
        before = self._before = self._evaluated(CompressionSpec(self.model.name))
        study = self._study()
        done = told(study)
        self._tried |= {tried.spec: tried for tried in done}
        scanned = study.user_attrs.get(HARMS) or self._scan()
        study.set_user_attr(HARMS, scanned)
        self._tell(phase=COMPARING, before=before)
        self._compare()
        self._tell(phase=TRYING)
        self._try(study, scanned, len(done))
        self._tell(phase=REPORTING, share=0.95)
        chosen, uniform = self._reading.chosen, self._reading.chosen_uniform
        winner, rival = (self._report(each) if each else None for each in (chosen, uniform))
        self._tell(winner=winner, rival=rival, share=1.0, done=True, phase="", seconds_left=None)

    # ---- Optuna

    def _study(self) -> optuna.Study:
        said = repr((self.model.digest, self.goal, self.seed, len(self._images), arithmetic()))
        return opened(self._path, hashlib.sha256(said.encode()).hexdigest()[:24], self._names, self.seed)

    def _try(self, study: optuna.Study, scanned: dict[str, list[float]], done: int) -> None:
        weights = {name: weight.numel() for name, weight in weighted_layers(self.model.module).items()}
        if not study.get_trials(deepcopy=False):
            for choices in seeds(weights, scanned):
                study.enqueue_trial(dict(choices))
        going: list[tuple[optuna.Trial, _Try]] = []
        asked = space(self._names)
        while done < self.trials or going:
            while len(going) < AHEAD and done + len(going) < self.trials:
                trial = study.ask(asked)
                spec = spec_of(self.model.name, trial.params, self._fold)
                same = next((each for _, each in going if each.spec == spec), None)
                going.append((trial, same or _Try(spec, self._worth, self._stages, tried=self._tried.get(spec))))
            self._advance(list(dict.fromkeys(each for _, each in going)))
            for trial, each in [pair for pair in going if pair[1].tried]:
                assert each.tried
                tell(study, trial, self.goal, each.tried)
                self._tried[each.spec] = each.tried
                going.remove((trial, each))
                done += 1
                self._progress(done)
            self._wait()

    # ---- trying

    def _scan(self) -> dict[str, list[float]]:
        """layer -> what each of SCANNED bits does to it alone: images lost, as a share, on the first of the half."""
        quants = [CompressionSpec(self.model.name, weights=QuantSpec(bits), fold_bn=self._fold) for bits in SCANNED]
        cells = {(layer, spec): alone(spec, layer, self._names) for layer in self._names for spec in quants}
        found = self._all(list(cells.values()), lambda _: False, 0.0, 0.15)
        return {layer: [found[cells[layer, spec]].found.drop for spec in quants] for layer in self._names}

    def _compare(self) -> None:
        """Uniform networks: of those that were measured already all are known; others are tried like any."""
        name = self.model.name
        specs = of_landscape(name)
        if not self._evaluator.known(self.model, specs[1]):
            specs = grid(name, (None, 8, 6, 5, 4, 3), pruned((0.0, 0.3, 0.5, 0.7)))
        if self._fold:
            both = (Granularity.CHANNEL, Granularity.TENSOR)
            specs += grid(name, (6, 5, 4), pruned((0.0, 0.3)), (Scheme.SYMMETRIC,), both, fold_bn=True)[1:]
        known = {spec: whole for spec in specs if (whole := self._evaluator.known(self.model, spec))}
        waiting = [spec for spec in dict.fromkeys(specs) if spec not in known]
        counted = self._counted(list(known))
        self._uniform.clear()
        assert self._before
        for spec, whole in known.items():
            self._uniform.append(Tried(spec, counted[spec].file, on_half(self._rows, self._before, whole)))
        self._choose()

        def worth(tried: Tried) -> bool:
            return may_be_chosen(self.goal, tried, self._reading.chosen_uniform)

        def keep(tried: Tried) -> None:
            self._uniform.append(tried)
            self._choose()

        self._all(waiting, worth, 0.15, 0.2, keep)

    def _worth(self, tried: Tried) -> bool:
        return may_be_chosen(self.goal, tried, self._reading.chosen)

    def _all(
        self,
        specs: Sequence[CompressionSpec],
        choose: Callable[[Tried], bool],
        begin: float,
        end: float,
        keep: Callable[[Tried], object] = id,
    ) -> dict[CompressionSpec, Tried]:
        """Each of `specs`, tried; the share of the search goes from `begin` to `end` meanwhile."""
        found: dict[CompressionSpec, Tried] = {}
        waiting, going = list(specs), list[_Try]()
        while waiting or going:
            while waiting and len(going) < AHEAD:
                going.append(_Try(waiting.pop(0), choose, self._stages))
            self._advance(going)
            for each in [each for each in going if each.tried]:
                assert each.tried
                found[each.spec] = each.tried
                keep(each.tried)
                going.remove(each)
                self._tell(share=begin + (end - begin) * len(found) / len(specs))
            self._wait()
        return found

    def _counted(self, specs: Sequence[CompressionSpec]) -> dict[CompressionSpec, Costs]:
        """What each costs, counted by workers where it is not known."""
        found: dict[CompressionSpec, Costs] = {}
        while len(found) < len(specs):
            for spec in [spec for spec in specs if spec not in found][: 4 * AHEAD]:
                if costs := self._costs(spec):
                    found[spec] = costs
            self._wait()
        return found

    def _costs(self, spec: CompressionSpec) -> Costs | None:
        key = self._evaluator.key(self.model, spec)
        if known := self._evaluator.known_costs(self.model, spec):
            return known
        task = f"costs-{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}", 0
        if found := self._engine.take([task]).get(task):
            self._store.put_costs(key, found)
            return found
        self._engine.ask(task, count_here, self._shared, spec, arithmetic(), priority=-2 * LAST)
        return None

    @property
    def _shared(self) -> Shared:
        return Shared(f"network-{self.model.digest}", self.model)

    def _advance(self, going: Sequence[_Try]) -> None:
        """Takes in what has come back, and asks for what is wanted next."""
        for each in going:
            if each.tried:
                continue
            each.costs = each.costs or self._costs(each.spec)
            name = self._name(each.spec)
            for (_, number), part in self._engine.take([(name, number) for number in each.asked]).items():
                each.asked.discard(number)
                each.parts[number] = part.right
            if each.asked:
                continue
            seen = sum(len(part) for part in each.parts.values())
            upto = next((stage for stage in each.stages if stage > seen), None)
            if seen and each.costs is None:
                continue
            if seen:
                tried = self._judged(each)
                if upto is None or not each.choose(tried):
                    each.tried = tried
                    continue
            assert upto is not None
            for number in range(-(-upto // BATCH)):
                if number not in each.parts:
                    self._ask(each, name, number, upto)

    def _ask(self, each: _Try, name: str, number: int, upto: int) -> None:
        rows = self._rows[number * BATCH : min((number + 1) * BATCH, upto)].numpy().astype(np.uint16)
        images = None if self._engine.local else Shared(f"images-{TEST.fingerprint}", self._images)
        order = -2 * LAST - number
        self._engine.ask(
            (name, number), evaluate_rows, self._shared, each.spec, rows, arithmetic(), images, priority=order
        )
        each.asked.add(number)

    def _judged(self, each: _Try) -> Tried:
        assert self._before
        assert each.costs
        right = torch.cat([each.parts[number] for number in sorted(each.parts)])
        before = self._before.right[self._rows[: len(right)]]
        return Tried(each.spec, each.costs.file, compared(before, right))

    def _name(self, spec: CompressionSpec) -> str:
        """What tasks are called. What two searches ask for is given to each of them."""
        key = self._evaluator.key(self.model, spec), self.goal, self.seed
        return f"half-{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}"

    # ---- the end

    def _report(self, tried: Tried) -> Report:
        whole, total = self._evaluated(tried.spec), len(self._images)
        assert self._before
        searched, held_back = (on_half(rows(total), self._before, whole) for rows in (search_half, held_back_half))
        return Report(tried, searched, held_back, whole)

    def _evaluated(self, spec: CompressionSpec) -> Evaluation:
        if known := self._evaluator.known(self.model, spec):
            return known
        for reading in self._evaluator.follow(self.model, spec, urgent=False):
            if reading.whole:
                return reading.whole
            self._wait()
        raise AssertionError("whoever follows an evaluation sees it whole")

    # ---- telling

    def _choose(self) -> None:
        tried, half = tuple(self._tried.values()), len(self._rows)
        self._tell(
            tried=tried,
            uniform=tuple(self._uniform),
            chosen=best(self.goal, tried, half),
            chosen_uniform=best(self.goal, self._uniform, half, margin=0.0),  # the rival is spared the margin
        )

    def _progress(self, done: int) -> None:
        self._choose()
        share = 0.2 + 0.75 * done / self.trials
        left = None
        if self._began is None:
            self._began = time.monotonic(), share
        elif share > self._began[1]:
            left = (time.monotonic() - self._began[0]) / (share - self._began[1]) * (1 - share)
        self._tell(share=share, seconds_left=left)

    def _tell(self, **known: object) -> None:
        with self._lock:
            self._reading = replace(self._reading, **known)  # type: ignore[arg-type]

    def _wait(self, seconds: float = POLL_SECONDS) -> None:
        if time.monotonic() - self._wanted > FORGET_SECONDS:
            raise _Stopped
        time.sleep(seconds)


class Searcher:
    """Searches of all sessions of this process."""

    def __init__(self, engine: Engine, store: Store, images: ImageSet, path: Path) -> None:
        """`images`: all test images, or the first of them. `path`: the file of Optuna's."""
        self._engine, self._store, self._images, self._path = engine, store, images, path
        self._lock = threading.Lock()
        self._searches: OrderedDict[object, Search] = OrderedDict()

    def look(
        self, model: FloatModel, goal: Goal, trials: int = TRIALS, seed: int = 0, go: bool = True
    ) -> SearchReading:
        """What is known by now; with `go`, more will be, as long as somebody looks."""
        place = model.digest, goal, trials, seed
        with self._lock:
            if place not in self._searches:
                self._searches[place] = Search(
                    self._engine, self._store, self._images, self._path, model, goal, trials, seed
                )
                while len(self._searches) > MOST_KEPT:
                    self._searches.popitem(last=False)[1].look(go=False)
            self._searches.move_to_end(place)
            search = self._searches[place]
        return search.look(go)

    def follow(self, model: FloatModel, goal: Goal, trials: int = TRIALS, seed: int = 0) -> Iterator[SearchReading]:
        """Readings, one after another, until it is done. Raises EngineError where it cannot go on."""
        while not (reading := self.look(model, goal, trials, seed)).done:
            if reading.error:
                raise EngineError(reading.error)
            yield reading
            time.sleep(POLL_SECONDS)
        yield reading
