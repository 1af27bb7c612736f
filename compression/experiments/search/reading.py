"""experiments/search/reading.py"""

from dataclasses import dataclass
from enum import StrEnum

from compression.evaluation.subsets import Score
from compression.experiments.search.goal import Goal, Tried, front
from compression.experiments.search.outcome import Outcome


class Phase(StrEnum):
    """What a search is at."""

    FLOAT = "the float network on the search half"
    RIVALS = "uniform specs, the rivals"
    SCAN = "each layer alone, to begin where it matters"
    TRIALS = "trying"
    CONFIRM = "the winner on all images"
    DONE = "done"


@dataclass(frozen=True, eq=False)
class SearchReading:
    """What is known of a search now.

    `tried`: in the order in which they were proposed, of `wanted` that there will be. `uniform`: what was measured
    beforehand, and what was tried with the same bits everywhere. `best` is within the goal on the whole search half.
    `share` (0..1) of the work is done. `before`: the float network on the search half. `notice` and `error` are
    sentences.
    """

    goal: Goal
    phase: Phase
    tried: tuple[Tried, ...]
    uniform: tuple[Tried, ...]
    wanted: int
    best: Tried | None
    share: float
    before: Score | None = None
    outcome: Outcome | None = None
    seconds_left: float | None = None
    notice: str | None = None
    error: str | None = None

    @property
    def words(self) -> str:
        """What it is at."""
        return f"{self.phase}: {len(self.tried)} of {self.wanted}" if self.phase is Phase.TRIALS else self.phase

    @property
    def front(self) -> tuple[Tried, ...]:
        return front(self.tried)

    @property
    def done(self) -> bool:
        return self.phase is Phase.DONE
