"""What is known of a search, and what came of it in words."""

from dataclasses import dataclass

from compression.evaluate import Evaluation
from compression.halves import OnHalf, differ, held_back_half
from compression.search import Goal, Tried


@dataclass(frozen=True, eq=False)
class Report:
    """One network on both halves of the test images."""

    tried: Tried
    search: OnHalf
    held_back: OnHalf
    whole: Evaluation


@dataclass(frozen=True, eq=False)
class SearchReading:
    """What is known of a search now.

    `tried`: by the search, in turn; `uniform`: what has the same setting for all layers. `chosen`, `chosen_uniform`:
    the best of each so far. `winner` and `rival`: those on both halves, once it is done. `share` (0..1) is done.
    """

    goal: Goal
    tried: tuple[Tried, ...]
    uniform: tuple[Tried, ...]
    chosen: Tried | None
    chosen_uniform: Tried | None
    phase: str
    share: float
    seconds_left: float | None = None
    winner: Report | None = None
    rival: Report | None = None
    before: Evaluation | None = None
    done: bool = False
    error: str | None = None


def verdict(reading: SearchReading) -> str:
    """What came of it, in words. Raises ValueError before it is done."""
    if not reading.done:
        raise ValueError("the search is not done yet")
    goal, winner, rival = reading.goal, reading.winner, reading.rival
    asked = f"within {100 * goal.drop:g} points of float" if goal.drop is not None else f"within {goal.nbytes:,} bytes"
    if winner is None:
        return f"Nothing that was tried is {asked}" + (
            ", nor is a uniform network." if rival is None else ": a uniform network is."
        )
    kept = goal.drop is None or winner.held_back.drop <= goal.drop
    change = winner.held_back.drop
    lost = f"On the half held back it {'loses' if change >= 0 else 'gains'} {100 * abs(change):.2f} points"
    confirmed = f"{lost}{': confirmed' if kept else f', more than {100 * (goal.drop or 0):g}: not confirmed'}."
    if rival is None:
        return f"No uniform network is {asked}, and this one is. {confirmed}"
    if goal.drop is not None:
        ratio = winner.tried.file / rival.tried.file
        won = ratio < 1
        beats = f"its file is {100 * (1 - ratio):.1f} % smaller than that of the best uniform network" if won else ""
    else:
        apart = differ(held_back_half(winner.whole.total), winner.whole, rival.whole)
        won = winner.held_back.correct > rival.held_back.correct
        chance = "this is no chance" if apart.p < 0.05 else "this may be chance"
        more = f"{100 * (winner.held_back.accuracy - rival.held_back.accuracy):.2f} points more"
        beats = f"it has {more} than the best uniform network on the half held back, and {chance}" if won else ""
    return (
        f"The search did not beat the best uniform network. {confirmed}" if not won else f"It won: {beats}. {confirmed}"
    )
