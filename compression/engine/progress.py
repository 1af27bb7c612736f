"""The progress of long work: how long the rest takes, and readings of it until it is done."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from compression.errors import EngineError

POLL_SECONDS = 0.05


class Progress(Protocol):
    """A reading of work that goes on in the background."""

    @property
    def done(self) -> bool:
        """Whether all results are there."""
        ...

    @property
    def error(self) -> str | None:
        """A sentence on what went wrong, or None."""
        ...


P = TypeVar("P", bound=Progress)


def follow(look: Callable[[], P]) -> Iterator[P]:
    """Yields what `look` returns, again and again, until it is done. Raises EngineError with the error of a reading."""
    while not (reading := look()).done:
        if reading.error:
            raise EngineError(reading.error)
        yield reading
        time.sleep(POLL_SECONDS)
    yield reading


@dataclass(frozen=True)
class Pace:
    """When work began (seconds on the monotonic clock), and the `share` (0..1) of it that was done by then."""

    began: float
    share: float

    @classmethod
    def from_now(cls, share: float) -> "Pace":
        """Returns the pace of work of which `share` is done now."""
        return cls(time.monotonic(), share)

    def seconds_left(self, share: float) -> float | None:
        """Returns how long the rest takes if it goes on like the work since the beginning; None if there was none.

        `share` (0..1) is done now.
        """
        step = share - self.share
        return (time.monotonic() - self.began) / step * (1 - share) if step > 0 else None
