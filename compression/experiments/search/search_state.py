"""How far a search has come."""

from dataclasses import dataclass, field

from compression.engine.borrower import Borrower
from compression.evaluation.subsets import HALF, Score
from compression.experiments.search.candidate import Candidate
from compression.experiments.search.goal import Goal, Trial
from compression.experiments.search.history import Study
from compression.experiments.search.outcome import Outcome
from compression.experiments.search.reading import Phase
from compression.experiments.search.space import Space
from compression.experiments.search.time_left import Meter, images_left, share_done, work_of
from compression.spec import CompressionSpec


@dataclass(eq=False)
class SearchState(Borrower):
    """A search of `trial_count` trials. Its trials are in `study`, which is also on the disk.

    `base` is the float network, `smallest` has the specs of the smallest files. `running` maps the number of a trial
    to its candidate. `rivals` has the uniform specs that are still to be tried, None before that begins, and
    `rival_trials` those that are. `committed` are trials from the landscape, None until they are read.
    `share_of_phase` (0..1) of the current phase is done, and `scanned` is that of the scan, None before it begins.
    """

    goal: Goal
    space: Space
    study: Study
    base: Candidate
    smallest: tuple[Candidate, ...]
    trial_count: int = 0
    running: dict[int, Candidate] = field(default_factory=dict)
    rivals: dict[CompressionSpec, Candidate] | None = None
    rival_trials: list[Trial] = field(default_factory=list)
    committed: tuple[Trial, ...] | None = None
    phase: Phase = Phase.FLOAT
    share_of_phase: float = 0.0
    scanned: float | None = None
    outcome: Outcome | None = None
    meter: Meter = field(default_factory=Meter)

    @property
    def before(self) -> Score | None:
        """The score of the float network on the search half, or None."""
        return self.base.score

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The complete trials in the order in which they were proposed."""
        return tuple(trial for _, trial in sorted(self.study.trials.items()))

    @property
    def uniform(self) -> tuple[Trial, ...]:
        """All trials with one setting for all layers."""
        return (*(self.committed or ()), *(each for each in self.trials if not each.spec.layers), *self.rival_trials)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All candidates that tasks may be asked for."""
        return (self.base, *self.smallest, *self.running.values(), *(self.rivals or {}).values())

    @property
    def work(self) -> dict[Phase, float]:
        """The expected work of each phase, in images."""
        return work_of(self.space, self.trial_count)

    @property
    def share(self) -> float:
        """The share (0..1) of the expected work that is done."""
        return share_done(self.work, self.phase, self.share_of_phase)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes, or None if that is not known."""
        rivals = len(self.space.rivals if self.rivals is None else self.rivals)
        trials = self.study.trials.values()
        return self.meter.seconds_left(
            images_left(self.work, self.phase, self.share_of_phase, rivals, trials, self.trial_count)
        )


def on_half(trials: tuple[Trial, ...]) -> list[Trial]:
    """Returns the trials on the whole search half."""
    return [each for each in trials if each.images == HALF]
