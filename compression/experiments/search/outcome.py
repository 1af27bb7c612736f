"""What a search comes to: its winner beside the best uniform spec, on the half it saw and on the half it did not."""

from collections.abc import Mapping
from dataclasses import dataclass

from compression.evaluation.evaluation import Evaluation
from compression.evaluation.statistics import Flips
from compression.evaluation.subsets import HELD_BACK, SEARCH, Score, score
from compression.experiments.search.goal import Goal, Tried
from compression.spec import CompressionSpec


@dataclass(frozen=True, eq=False)
class Judged:
    """A spec, the bytes of its file where they count, and its score on both halves."""

    spec: CompressionSpec
    bytes: int
    search: Score
    held_back: Score


@dataclass(frozen=True, eq=False)
class Outcome:
    """`winner` and `uniform` were picked by the search half alone; None where nothing was within the goal.

    `change`: from the uniform spec to the winner, on the half held back, or None.
    """

    goal: Goal
    before_search: Score
    before_held_back: Score
    winner: Judged | None
    uniform: Judged | None

    @property
    def change(self) -> Flips | None:
        return self.uniform.held_back.flips(self.winner.held_back) if self.winner and self.uniform else None

    @property
    def beats(self) -> bool:
        """Whether the winner is better than the best uniform spec in what was asked for: bytes, or accuracy on images
        that neither was picked by.
        """
        if self.winner is None or self.uniform is None:
            return self.winner is not None
        if self.goal.drop is not None:
            return self.winner.bytes < self.uniform.bytes
        return self.winner.held_back.correct > self.uniform.held_back.correct

    def drop(self, judged: Judged) -> float:
        """Of accuracy (0..1) against float, on the half held back."""
        return self.before_held_back.accuracy - judged.held_back.accuracy

    @property
    def kept(self) -> bool:
        """Whether the winner is within the goal on the half held back."""
        assert self.winner
        return self.goal.drop is None or self.drop(self.winner) <= self.goal.drop


def outcome(
    goal: Goal,
    before: Evaluation,
    winner: Tried | None,
    uniform: Tried | None,
    wholes: Mapping[CompressionSpec, Evaluation],
) -> Outcome:
    """`wholes`: spec -> its evaluation on all test images."""

    def judged(tried: Tried) -> Judged:
        whole = wholes[tried.spec]
        return Judged(tried.spec, tried.bytes, score(whole, SEARCH), score(whole, HELD_BACK))

    return Outcome(
        goal,
        score(before, SEARCH),
        score(before, HELD_BACK),
        judged(winner) if winner else None,
        judged(uniform) if uniform else None,
    )


def verdict(found: Outcome) -> str:
    """What it comes to, in sentences."""
    winner, uniform = found.winner, found.uniform
    if winner is None:
        return f"Nothing that was tried is within the goal, {found.goal.words}."
    return f"{_against(found, winner, uniform)} {_promise(found, winner)}"


def _against(found: Outcome, winner: Judged, uniform: Judged | None) -> str:
    if uniform is None:
        return f"The winner has {winner.bytes:,} bytes, and no uniform spec is within the goal."
    change = found.uniform.held_back.flips(winner.held_back) if found.uniform else None
    p = f"McNemar p = {change.p:.2g} on the half held back" if change else ""
    if winner.spec == uniform.spec or not found.beats:
        better = f"{uniform.bytes:,} bytes against {winner.bytes:,}"
        return f"The search did not beat the best uniform spec ({better})."
    if found.goal.drop is not None:
        share = 1 - winner.bytes / uniform.bytes
        return (
            f"The winner has {winner.bytes:,} bytes, {100 * share:.1f} % fewer than the {uniform.bytes:,} of the best "
            f"uniform spec; between their accuracies {p}."
        )
    more = winner.held_back.correct - uniform.held_back.correct
    return (
        f"The winner gets {more:,} images more right than the best uniform spec, of {winner.held_back.total:,} held "
        f"back ({p}), with {winner.bytes:,} bytes against {uniform.bytes:,}."
    )


def _promise(found: Outcome, winner: Judged) -> str:
    drop = 100 * found.drop(winner)
    said = f"loses {drop:.2f} points" if drop > 0 else f"gains {-drop:.2f} points" if drop < 0 else "loses nothing"
    if found.goal.drop is None:
        return f"On the half held back it {said} against float."
    if found.kept:
        return f"It keeps to the goal on images that the search never saw: there it {said}."
    return f"On images that the search never saw it {said}, more than the goal of {100 * found.goal.drop:g}."
