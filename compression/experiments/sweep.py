"""How long an evaluation will take here, before one was begun."""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from compression.engine.cluster import Engine, Shared
from compression.engine.evaluator import Evaluator
from compression.engine.priorities import LAST, POLL_SECONDS
from compression.errors import EngineError
from compression.evaluation.evaluation import Evaluation
from compression.experiments.tasks import count_costs
from compression.networks.macs import layer_macs
from compression.networks.model import FloatModel
from compression.results.costs import Costs
from compression.results.provenance import arithmetic
from compression.results.result import Result
from compression.results.store import Store
from compression.spec import CompressionSpec

IMAGES, RUNS = 25, 2


def seconds_an_image(model: FloatModel) -> float:
    """Of the float network, on all cores: the better of two runs on a few images of noise, which is as slow as any."""
    images = torch.rand(IMAGES, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return min(_run(model, images) for _ in range(RUNS)) / IMAGES


def _run(model: FloatModel, images: torch.Tensor) -> float:
    begun = time.perf_counter()
    with torch.inference_mode():
        model.module(model.normalization(images))
    return time.perf_counter() - begun


AHEAD = 3  # specs on their way

MOST_KEPT = 8

Models = Mapping[str, FloatModel]


@dataclass(frozen=True, eq=False)
class SweepReading:
    """What is known of a sweep now: the `results` that are there and, by its spec, why another one never will be.

    `share` (0..1) of the work is done. `before`: the float networks, by name, as far as they are known.
    """

    specs: tuple[CompressionSpec, ...]
    results: tuple[Result, ...]
    before: Mapping[str, Evaluation]
    failures: Mapping[CompressionSpec, str]
    share: float
    seconds_left: float | None = None
    notice: str | None = None

    @property
    def done(self) -> bool:
        return len(self.results) + len(self.failures) == len(self.specs)


@dataclass(eq=False)
class _Cell:
    """A spec on its way. `share` (0..1) of its images are evaluated; `work` in multiply-accumulates an image."""

    model: FloatModel
    spec: CompressionSpec
    work: int
    evaluation: Evaluation | None = None
    costs: Costs | None = None
    failure: str | None = None
    share: float = 0.0

    @property
    def done(self) -> bool:
        return self.failure is not None or (self.evaluation is not None and self.costs is not None)

    @property
    def name(self) -> str:
        """Equal for equal work: what the task is called that counts."""
        return f"costs-{hashlib.sha256(f'{self.model.digest} {self.spec.to_json()}'.encode()).hexdigest()[:24]}"


@dataclass(eq=False)
class _Sweeping:
    """A sweep on its way. `begun`: when, on the monotonic clock, and at which share."""

    who: str
    cells: tuple[_Cell, ...]
    before: dict[str, Evaluation] = field(default_factory=dict)
    begun: tuple[float, float] | None = None

    @property
    def share(self) -> float:
        work = sum(cell.work for cell in self.cells)
        return sum(cell.work * (1.0 if cell.done else cell.share) for cell in self.cells) / work if work else 1.0


class Sweeper:
    """Sweeps of all sessions of this process. All may be called from any thread, and none waits for work."""

    def __init__(self, engine: Engine, store: Store, evaluator: Evaluator) -> None:
        """`evaluator` uses the same engine and store."""
        self._engine, self._store, self._evaluator = engine, store, evaluator
        self._lock = threading.RLock()
        self._sweepings: OrderedDict[tuple[CompressionSpec, ...], _Sweeping] = OrderedDict()

    def look(self, models: Models, specs: Sequence[CompressionSpec], go: bool = True) -> SweepReading:
        """What is known by now of `specs`, each of the one of `models` that it names; with `go`, more will be."""
        with self._lock:
            sweeping = self._sweeping(models, tuple(specs))
            if go and sweeping.begun is None:  # what went wrong before is tried again
                for cell in sweeping.cells:
                    cell.failure = None
                sweeping.begun = time.monotonic(), sweeping.share
            waiting = [cell for cell in sweeping.cells if not cell.done]
            for slot, cell in enumerate(waiting[:AHEAD]):
                self._advance(sweeping, slot, cell, go)
            if not go:
                sweeping.begun = None
            return self._reading(sweeping)

    def follow(self, models: Models, specs: Sequence[CompressionSpec]) -> Iterator[SweepReading]:
        """Readings, one after another, until nothing is missing."""
        while not (reading := self.look(models, specs)).done:
            yield reading
            time.sleep(POLL_SECONDS)
        yield reading

    def _sweeping(self, models: Models, specs: tuple[CompressionSpec, ...]) -> _Sweeping:
        if specs not in self._sweepings:
            work = {
                name: sum(layer_macs(models[name].module, models[name].example).values())
                for name in {spec.model for spec in specs}
            }
            cells = tuple(_Cell(models[spec.model], spec, work[spec.model]) for spec in dict.fromkeys(specs))
            for cell in cells:
                cell.evaluation = self._evaluator.known(cell.model, cell.spec)
                cell.costs = self._evaluator.known_costs(cell.model, cell.spec)
            self._sweepings[specs] = _Sweeping(f"sweep-{id(cells)}", cells)
            while len(self._sweepings) > MOST_KEPT:
                self._sweepings.popitem(last=False)
        self._sweepings.move_to_end(specs)
        return self._sweepings[specs]

    def _advance(self, sweeping: _Sweeping, slot: int, cell: _Cell, go: bool) -> None:
        """Takes in what has come back and, with `go`, asks for the rest."""
        try:
            if cell.evaluation is None:
                self._evaluate(sweeping, slot, cell, go)
            if cell.costs is None:
                self._count(cell, go)
        except EngineError as failure:
            cell.failure = str(failure)

    def _evaluate(self, sweeping: _Sweeping, slot: int, cell: _Cell, go: bool) -> None:
        reading = self._evaluator.look(f"{sweeping.who} {slot}", cell.model, cell.spec, go, urgent=False)
        if reading.error:
            raise EngineError(reading.error)
        cell.evaluation, cell.share = reading.whole, reading.images / reading.total

    def _count(self, cell: _Cell, go: bool) -> None:
        task = cell.name, 0
        found = self._engine.take([task])
        if found:
            cell.costs = found[task]
            self._store.put_costs(self._evaluator.key(cell.model, cell.spec), found[task])
        elif go:
            model = Shared(f"network-{cell.model.digest}", cell.model)
            self._engine.ask(task, count_costs, model, cell.spec, arithmetic(), priority=-LAST)
        else:
            self._engine.drop([task])

    def _reading(self, sweeping: _Sweeping) -> SweepReading:
        cells = sweeping.cells
        for name, model in {cell.spec.model: cell.model for cell in cells}.items():
            if name not in sweeping.before and (found := self._evaluator.known(model, CompressionSpec(name))):
                sweeping.before[name] = found
        return SweepReading(
            specs=tuple(cell.spec for cell in cells),
            results=tuple(
                Result(cell.spec, cell.costs, cell.evaluation) for cell in cells if cell.costs and cell.evaluation
            ),
            before=dict(sweeping.before),
            failures={cell.spec: cell.failure for cell in cells if cell.failure},
            share=sweeping.share,
            seconds_left=_seconds_left(sweeping),
            notice=self._engine.notice or self._store.problem,
        )


def _seconds_left(sweeping: _Sweeping) -> float | None:
    if sweeping.begun is None:
        return None
    since, before = sweeping.begun
    gained = sweeping.share - before
    return (time.monotonic() - since) / gained * (1 - sweeping.share) if gained > 0 else None
