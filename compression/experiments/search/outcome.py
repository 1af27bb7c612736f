"""The outcome of a search: its winner beside the best uniform spec, on the search half and on the held-out half."""

from collections.abc import Mapping
from dataclasses import dataclass

from compression.evaluation.evaluation import Evaluation
from compression.evaluation.statistics import Flips
from compression.evaluation.subsets import HELD_BACK, SEARCH, Score, score
from compression.experiments.search.goal import Goal, Trial
from compression.spec import CompressionSpec

SIGNIFICANCE = 0.05  # a difference with a smaller p-value is called more than chance


@dataclass(frozen=True, eq=False)
class Finalist:
    """A spec that the search picked, the size of its file, and its score on both halves."""

    spec: CompressionSpec
    file_bytes: int
    search: Score
    held_back: Score


@dataclass(frozen=True, eq=False)
class Outcome:
    """The winner and the best uniform spec, picked by the search half alone; None if none met the goal.

    `before_search` and `before_held_back` are the scores of the float network.
    """

    goal: Goal
    before_search: Score
    before_held_back: Score
    winner: Finalist | None
    uniform: Finalist | None

    @property
    def change(self) -> Flips | None:
        """The flips from the uniform spec to the winner on the held-out half, or None."""
        return self.uniform.held_back.flips(self.winner.held_back) if self.winner and self.uniform else None

    @property
    def beats_uniform(self) -> bool:
        """Whether the winner is better than the best uniform spec in what the goal asks for.

        That is the size of the file, or the accuracy on the held-out half, by which neither was picked.
        """
        if self.winner is None or self.uniform is None:
            return self.winner is not None
        if self.goal.drop is not None:
            return self.winner.file_bytes < self.uniform.file_bytes
        return self.winner.held_back.correct > self.uniform.held_back.correct

    @property
    def meets_goal(self) -> bool:
        """Whether the winner meets the goal on the held-out half too."""
        assert self.winner
        return self.goal.drop is None or self.drop(self.winner) <= self.goal.drop

    def drop(self, finalist: Finalist) -> float:
        """Returns the drop of accuracy (0..1) from the float network on the held-out half."""
        return self.before_held_back.accuracy - finalist.held_back.accuracy


def outcome_of(
    goal: Goal,
    before: Evaluation,
    winner: Trial | None,
    uniform: Trial | None,
    wholes: Mapping[CompressionSpec, Evaluation],
) -> Outcome:
    """Returns the outcome. `before` is the float network, and `wholes` has the picked specs, on all test images."""

    def finalist(trial: Trial) -> Finalist:
        whole = wholes[trial.spec]
        return Finalist(trial.spec, trial.file_bytes, score(whole, SEARCH), score(whole, HELD_BACK))

    return Outcome(
        goal,
        score(before, SEARCH),
        score(before, HELD_BACK),
        finalist(winner) if winner else None,
        finalist(uniform) if uniform else None,
    )


def outcome_in_words(outcome: Outcome) -> str:
    """Returns the outcome in sentences: how the winner compares, and whether it meets the goal on unseen images."""
    if outcome.winner is None:
        return f"No spec that was tried meets the goal, {outcome.goal.words}."
    return f"{_comparison(outcome, outcome.winner)} {_check_on_held_out(outcome, outcome.winner)}"


def _comparison(outcome: Outcome, winner: Finalist) -> str:
    uniform = outcome.uniform
    if uniform is None:
        return f"The winner has {winner.file_bytes:,} bytes, and no uniform spec meets the goal."
    if winner.spec == uniform.spec or not outcome.beats_uniform:
        sizes = f"{uniform.file_bytes:,} bytes against {winner.file_bytes:,}"
        return f"The search did not beat the best uniform spec ({sizes})."
    p = uniform.held_back.flips(winner.held_back).p
    meaning = "more than chance" if p < SIGNIFICANCE else "may be chance"
    test = f"{meaning}, McNemar test, p = {p:.2g} on the held-out half, by which neither was picked"
    if outcome.goal.drop is not None:
        share = 1 - winner.file_bytes / uniform.file_bytes
        return (
            f"The winner has {winner.file_bytes:,} bytes, {100 * share:.1f} % fewer than the {uniform.file_bytes:,} of "
            f"the best uniform spec. {_difference(uniform.held_back, winner.held_back)} ({test})."
        )
    more = winner.held_back.correct - uniform.held_back.correct
    return (
        f"The winner classifies {more:,} more images correctly than the best uniform spec, of "
        f"{winner.held_back.total:,} ({test}), with {winner.file_bytes:,} bytes against {uniform.file_bytes:,}."
    )


def _difference(uniform: Score, winner: Score) -> str:
    points = 100 * (winner.accuracy - uniform.accuracy)
    if points == 0:
        return "They are equally accurate"
    return f"It is {abs(points):.2f} points {'more' if points > 0 else 'less'} accurate"


def _check_on_held_out(outcome: Outcome, winner: Finalist) -> str:
    drop = 100 * outcome.drop(winner)
    change = f"loses {drop:.2f} points" if drop > 0 else f"gains {-drop:.2f} points" if drop < 0 else "loses nothing"
    if outcome.goal.drop is None:
        return f"On the held-out half it {change} against float."
    if outcome.meets_goal:
        return f"It meets the goal on images that the search never saw: there it {change}."
    return f"On images that the search never saw it {change}, more than the goal of {100 * outcome.goal.drop:g}."
