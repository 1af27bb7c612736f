"""A training run, as the frozen value that decides its result, and what is known of it."""

from dataclasses import dataclass, field
from enum import StrEnum

from compression.engine.cluster import TaskKey, task_name
from compression.engine.progress import Pace
from compression.networks.model import FloatModel
from compression.retraining.lineage import Lineage, Point
from compression.retraining.recipe import Recipe
from compression.retraining.start import choose_teacher, whole_spec
from compression.spec import CompressionSpec


@dataclass(frozen=True)
class Run:
    """What a run computes: a network trained by `recipe` on the first `images` training images.

    `name` stands for all that the result depends on, the weights of the network and of its teacher too. `total` is the
    number of steps.
    """

    name: str
    parent: str
    digest: str
    spec: CompressionSpec
    recipe: Recipe
    teacher: str | None
    images: int
    fingerprint: str

    @property
    def total(self) -> int:
        return self.recipe.total_steps(self.images)

    def is_of(self, lineage: Lineage) -> bool:
        """Returns whether a network with `lineage` came out of this run, after all of its steps or an early end."""
        own = (self.digest, self.spec, self.recipe, self.teacher, self.fingerprint)
        is_own = own == (lineage.digest, lineage.spec, lineage.recipe, lineage.teacher, lineage.images)
        return is_own and (lineage.steps == self.total or bool(lineage.problem))


def run_of(
    model: FloatModel, spec: CompressionSpec, recipe: Recipe, images: int, fingerprint: str, teacher: FloatModel | None
) -> Run:
    """Returns the run that trains `model`, compressed as `spec` says, on the first `images` of the training images.

    Raises ValueError where spec and recipe do not fit.
    """
    spec = whole_spec(model, spec)
    other = choose_teacher(model, spec, recipe, teacher)
    name = task_name(
        "training", model.digest, spec.to_json(), recipe.to_json(), other and other.digest, images, fingerprint
    )
    named = other.name if other else None
    return Run(name, model.name, model.digest, spec, recipe, named, images, fingerprint)


class Stage(StrEnum):
    """Where a run stands; `trainer` says what leads from one stage to another."""

    ABSENT = "absent"
    WAITING = "waiting"
    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"


@dataclass(frozen=True)
class TrainingReading:
    """What is known of a run: `step` of `total` steps are done, and `points` are counted, in `seconds` of training.

    `place`: how many runs come before it while it waits. `problem` says why training has ended early; `error` why it
    was stopped, if not by somebody. `network`: the name of the recovered network that came out, or of the best so far.
    """

    stage: Stage
    total: int
    step: int = 0
    points: tuple[Point, ...] = ()
    seconds: float = 0.0
    seconds_left: float | None = None
    place: int = 0
    problem: str = ""
    error: str | None = None
    network: str | None = None

    @property
    def is_active(self) -> bool:
        """Whether it runs, or waits for its turn."""
        return self.stage in (Stage.WAITING, Stage.RUNNING)

    @property
    def share(self) -> float:
        """The share (0..1) of the steps that are done."""
        return self.step / self.total


@dataclass(eq=False)
class RunState:
    """A run in memory. `state` is its last saved state, `saved_at` when it was written (monotonic clock).

    `model`, `teacher`: only while it is active. `task`: what workers are asked for. `ends`: whether that is the file.
    """

    run: Run
    stage: Stage = Stage.ABSENT
    step: int = 0
    points: tuple[Point, ...] = ()
    seconds: float = 0.0
    problem: str = ""
    error: str | None = None
    network: str | None = None
    state: bytes | None = field(default=None, repr=False)
    session: str = ""
    model: FloatModel | None = None
    teacher: FloatModel | None = None
    task: TaskKey | None = None
    ends: bool = False
    pace: Pace | None = None
    saved_at: float = 0.0

    @property
    def is_active(self) -> bool:
        return self.stage in (Stage.WAITING, Stage.RUNNING)

    def reading(self, place: int) -> TrainingReading:
        """Returns what is known of the run, which `place` others come before."""
        total = self.run.total
        runs = self.stage is Stage.RUNNING and self.pace is not None
        left = self.pace.seconds_left(self.step / total) if runs and self.pace else None
        return TrainingReading(
            self.stage,
            total,
            self.step,
            self.points,
            self.seconds,
            left,
            place,
            self.problem,
            self.error,
            self.network,
        )
