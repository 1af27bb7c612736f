"""What is known of each rung of the ladder, and the work on the next one."""

from dataclasses import dataclass

import streamlit as st

from compression.evaluation.reading import Reading
from compression.experiments.ladder import Rung
from pages.ui.compute import accuracy, recovery

SECONDS = "seconds of rungs"


@dataclass(frozen=True)
class Climb:
    """What is known of a rung: the accuracy so far, None where nobody looked, and the seconds that its network took."""

    rung: Rung
    reading: Reading | None
    seconds: float | None
    error: str | None = None

    @property
    def exact(self) -> bool:
        """Whether its accuracy is exact."""
        return self.reading is not None and self.reading.exact

    @property
    def done(self) -> bool:
        """Whether its accuracy is exact and its time is known."""
        return self.exact and self.seconds is not None


@dataclass(frozen=True)
class LadderReading:
    """What is known of all rungs, from the first to the last."""

    climbs: tuple[Climb, ...]

    @property
    def done(self) -> bool:
        return all(each.done for each in self.climbs)

    @property
    def error(self) -> str | None:
        """What ended the work, if something did."""
        return next((each.error for each in self.climbs if each.error), None)

    @property
    def share(self) -> float:
        """The share (0..1) of the rungs that are done."""
        return sum(each.done for each in self.climbs) / len(self.climbs)

    @property
    def exact(self) -> int:
        """The number of rungs whose accuracy is exact."""
        return sum(each.exact for each in self.climbs)


def climb(ladder: tuple[Rung, ...], go: bool) -> LadderReading:
    """Returns what is known of each rung; with `go`, the first one that is not exact and timed is worked out."""
    climbs: list[Climb] = []
    times = st.session_state.setdefault(SECONDS, {})
    for number, rung in enumerate(ladder):
        turn = go and all(each.done for each in climbs)
        reading = accuracy.look(rung.spec, turn, side=f"rung {number}")
        error = reading.error
        if turn and rung.spec not in times:
            network = recovery.time(rung.spec, "rung")
            error = error or network.error
            if network.network:
                times[rung.spec] = network.seconds
        climbs.append(Climb(rung, reading if reading.images else None, times.get(rung.spec), error))
    return LadderReading(tuple(climbs))
