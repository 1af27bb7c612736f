"""Evaluates candidates on the search half and counts their costs, on the engine; complete results are stored."""

import hashlib
from weakref import ref

from compression.data.cifar10 import TEST
from compression.data.images import ImageSet
from compression.engine.cluster import Engine, Shared
from compression.engine.priorities import LATER
from compression.engine.tasks import evaluate_rows
from compression.evaluation.evaluation import BATCH
from compression.evaluation.subsets import SEARCH, first_of, rows
from compression.experiments.search.candidate import STAGES, Candidate
from compression.experiments.tasks import count_costs
from compression.networks.model import FloatModel
from compression.results.costs import Costs
from compression.results.provenance import arithmetic
from compression.results.store import Key, Store
from compression.spec import CompressionSpec


class Measuring:
    """Measures the candidates of all searches of this process. No method waits for workers."""

    def __init__(self, engine: Engine, store: Store, images: ImageSet) -> None:
        """`images` are all test images."""
        self._engine, self._store, self._images = engine, store, images

    def candidate(self, model: FloatModel, spec: CompressionSpec, who: str) -> Candidate:
        """Returns a candidate with what the store has of it.

        Different `who` give its tasks different names: a result is taken once, so nobody else would get it.
        """
        name = hashlib.sha256(f"{model.digest} {spec.to_json()} {who}".encode()).hexdigest()[:24]
        keys = [(Key.of(model, spec, first_of(SEARCH, images)), images) for images in reversed(STAGES)]
        half = self._images[SEARCH]
        evaluations = (self._store.get(key, half[:images]) for key, images in keys)
        known = next((evaluation for evaluation in evaluations if evaluation), None)
        return Candidate(ref(model), spec, name, known, self._store.get_costs(Key.of(model, spec)))

    def evaluate(self, candidate: Candidate, images: int, go: bool) -> bool:
        """Takes what has come back and, with `go`, asks for the rest; returns whether the first `images` are seen."""
        results = self._engine.take(candidate.batch_tasks) if candidate.pending else {}
        for (_, number), part in results.items():
            candidate.pending.discard(number)
            candidate.parts[number] = part
        if candidate.extend(images):
            assert candidate.evaluation
            key = Key.of(candidate.model, candidate.spec, first_of(SEARCH, images))
            self._store.put(key, candidate.evaluation)
        elif go:
            for number in candidate.batches_up_to(images):
                if number not in candidate.parts and number not in candidate.pending:
                    self._ask(candidate, number)
        return candidate.images >= images

    def count(self, candidate: Candidate, go: bool) -> Costs | None:
        """Takes the costs if they have come back, or with `go` asks for them; returns them, or None."""
        if candidate.costs is None:
            task, model = candidate.costs_task, candidate.model
            candidate.costs = self._engine.take([task]).get(task)
            if candidate.costs:
                self._store.put_costs(Key.of(model, candidate.spec), candidate.costs)
            elif go:
                shared = Shared(f"network-{model.digest}", model)
                self._engine.ask(task, count_costs, shared, candidate.spec, arithmetic(), priority=LATER)
        return candidate.costs

    def drop(self, candidate: Candidate) -> None:
        """Gives up the tasks that are asked for."""
        self._engine.drop([candidate.costs_task, *candidate.batch_tasks])
        candidate.pending.clear()

    def _ask(self, candidate: Candidate, number: int) -> None:
        self._engine.ask(
            candidate.batch_task(number),
            evaluate_rows,
            Shared(f"network-{candidate.model.digest}", candidate.model),
            candidate.spec,
            rows(SEARCH)[number * BATCH : (number + 1) * BATCH],
            arithmetic(),
            None if self._engine.local else Shared(f"images-{TEST.fingerprint}", self._images),
            priority=LATER,
        )
        candidate.pending.add(number)
