"""How far a sweep has come: for each spec its evaluation, its costs, or why it failed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from weakref import ref

from compression.engine.borrower import Borrower
from compression.engine.cluster import TaskKey, task_name
from compression.engine.progress import Pace
from compression.evaluation.evaluation import Evaluation
from compression.networks.macs import layer_macs
from compression.networks.model import FloatModel
from compression.results.costs import Costs
from compression.results.result import Result
from compression.spec import CompressionSpec


@dataclass(eq=False)
class SpecState(Borrower):
    """One spec of a sweep. `share` (0..1) of its images are evaluated; `work` is in multiply-accumulates per image."""

    spec: CompressionSpec
    work: int
    evaluation: Evaluation | None = None
    costs: Costs | None = None
    failure: str | None = None
    share: float = 0.0

    @property
    def done(self) -> bool:
        """Whether it failed, or its evaluation and its costs are there."""
        return self.failure is not None or (self.evaluation is not None and self.costs is not None)

    @property
    def result(self) -> Result | None:
        """The result, or None until it is complete."""
        return Result(self.spec, self.costs, self.evaluation) if self.costs and self.evaluation else None

    @property
    def costs_task(self) -> TaskKey:
        """The task that counts its costs; equal for equal work."""
        return task_name("costs", self.model.digest, self.spec.to_json()), 0


@dataclass(eq=False)
class SweepState:
    """A sweep. `who` is the name under which it watches the evaluator."""

    who: str
    specs: tuple[SpecState, ...]
    before: dict[str, Evaluation] = field(default_factory=dict)
    pace: Pace | None = None

    @property
    def share(self) -> float:
        """The share (0..1) of the work that is done."""
        work = sum(each.work for each in self.specs)
        return sum(each.work * (1.0 if each.done else each.share) for each in self.specs) / work if work else 1.0

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes, or None if that is not known."""
        return self.pace.seconds_left(self.share) if self.pace else None

    @property
    def models(self) -> dict[str, FloatModel]:
        """The float networks by name."""
        return {each.spec.model: each.model for each in self.specs}


def spec_states(models: Mapping[str, FloatModel], specs: Iterable[CompressionSpec]) -> tuple[SpecState, ...]:
    """Returns the states of `specs`, each spec once, with nothing known."""
    unique = tuple(dict.fromkeys(specs))
    work = {
        name: sum(layer_macs(models[name].module, models[name].example).values())
        for name in {spec.model for spec in unique}
    }
    return tuple(SpecState(ref(models[spec.model]), spec, work[spec.model]) for spec in unique)
