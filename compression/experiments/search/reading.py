"""What is known of a search at one moment."""

from dataclasses import dataclass
from enum import StrEnum

from compression.evaluation.subsets import Score
from compression.experiments.search.goal import Goal, Trial, front_of_trials
from compression.experiments.search.outcome import Outcome


class Phase(StrEnum):
    """The steps of a search in their order, in words for the reader."""

    FLOAT = "the float network on the search half"
    RIVALS = "uniform specs, the rivals"
    SCAN = "each layer alone, to start with the bits that it needs"
    TRIALS = "trying"
    CONFIRM = "the winner on all images"
    DONE = "done"


@dataclass(frozen=True, eq=False)
class SearchReading:
    """What is known of a search at one moment.

    `trials` are complete, in the order in which they were proposed; there will be `trial_count`. `uniform` has the
    trials with the same setting in all layers, also those of the committed landscape. `best` meets the goal on the
    whole search half. `before` is the float network on the search half. `share` (0..1) of the work is done. `notice`
    and `error` are sentences for the reader.
    """

    goal: Goal
    phase: Phase
    trials: tuple[Trial, ...]
    uniform: tuple[Trial, ...]
    trial_count: int
    best: Trial | None
    share: float
    before: Score | None = None
    outcome: Outcome | None = None
    seconds_left: float | None = None
    notice: str | None = None
    error: str | None = None

    @property
    def words(self) -> str:
        """The current step in words."""
        if self.phase is Phase.TRIALS:
            return f"{self.phase}: {len(self.trials)} of {self.trial_count}"
        return self.phase

    @property
    def front(self) -> tuple[Trial, ...]:
        """The Pareto front of the trials, smallest file first."""
        return front_of_trials(self.trials)

    @property
    def done(self) -> bool:
        """Whether the outcome is there."""
        return self.phase is Phase.DONE
