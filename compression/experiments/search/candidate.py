"""A spec on its way through the search half, and what its results say."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from compression.engine.borrower import Borrower
from compression.engine.cluster import TaskKey
from compression.evaluation.evaluation import BATCH, Evaluation, join
from compression.evaluation.subsets import HALF, Score
from compression.experiments.search.goal import Goal, Trial, may_win
from compression.results.costs import Costs
from compression.spec import CompressionSpec

STAGES = (500, 1500, HALF)  # images; a candidate that cannot win any more stops after a stage


@dataclass(eq=False)
class Candidate(Borrower):
    """A spec of a search. `name` is that of its tasks.

    `evaluation` is that of the first images of the search half, `parts` maps the numbers of later batches to
    theirs, and `pending` has the batches that are asked for.
    """

    spec: CompressionSpec
    name: str
    evaluation: Evaluation | None = None
    costs: Costs | None = None
    parts: dict[int, Evaluation] = field(default_factory=dict)
    pending: set[int] = field(default_factory=set)

    @property
    def images(self) -> int:
        """The number of images in `evaluation`."""
        return self.evaluation.total if self.evaluation else 0

    @property
    def evaluated(self) -> int:
        """The number of images that were evaluated, including those that do not follow on the ones in `evaluation`."""
        return self.images + BATCH * len(self.parts)

    @property
    def stage(self) -> int:
        """The number of images of the stage that it is at."""
        return next(images for images in STAGES if images >= max(self.images, STAGES[0]))

    @property
    def score(self) -> Score | None:
        """The score on the whole search half, or None until all of it is seen."""
        return Score(self.evaluation.right) if self.evaluation and self.images == HALF else None

    @property
    def costs_task(self) -> TaskKey:
        """The task that counts its costs."""
        return f"costs-{self.name}", 0

    @property
    def batch_tasks(self) -> list[TaskKey]:
        """The tasks of the batches that are asked for."""
        return [self.batch_task(number) for number in self.pending]

    def batch_task(self, number: int) -> TaskKey:
        """Returns the task that evaluates batch `number`."""
        return f"half-{self.name}", number

    def batches_up_to(self, images: int) -> range:
        """Returns the batches from what is evaluated up to the first `images`."""
        return range(self.images // BATCH, images // BATCH)

    def extend(self, images: int) -> bool:
        """Joins `evaluation` with the parts up to the first `images`; returns whether it did, which needs all parts."""
        numbers = self.batches_up_to(images)
        if not numbers or any(number not in self.parts for number in numbers):
            return False
        earlier = [self.evaluation] if self.evaluation else []
        self.evaluation = join([*earlier, *(self.parts.pop(number) for number in numbers)])
        return True


def trial_of(before: Score, spec: CompressionSpec, file_bytes: int, after: Score) -> Trial:
    """Returns the trial of `spec`, with the score `before` of the float network and the one `after` compression."""
    change = before.flips(after)
    return Trial(spec, file_bytes, after.total, after.correct, change.lost, change.won)


def next_stage(goal: Goal, trial: Trial, rivals: Sequence[Trial]) -> int | None:
    """Returns the number of images that `trial` needs next, or None if it is finished.

    It is finished on the whole half, or if more images cannot make it better than `rivals`, which are tried on it.
    """
    if trial.images == HALF or not may_win(goal, trial, rivals):
        return None
    return next(images for images in STAGES if images > trial.images)
