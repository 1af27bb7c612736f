"""Readings are followed until they are done, and the time that is left follows from the pace so far."""

import itertools
from dataclasses import dataclass

import pytest

from compression.engine.progress import Pace, follow
from compression.errors import EngineError


@dataclass(frozen=True)
class Reading:
    number: int
    done: bool = False
    error: str | None = None


def test_readings_come_until_one_is_done() -> None:
    numbers = itertools.count()
    readings = list(follow(lambda: Reading(number := next(numbers), number == 2)))
    assert [reading.number for reading in readings] == [0, 1, 2]


def test_an_error_ends_the_readings() -> None:
    readings = iter([Reading(0), Reading(1, error="no memory")])
    followed = follow(lambda: next(readings))
    assert next(followed).number == 0
    with pytest.raises(EngineError, match=r"^no memory$"):
        next(followed)


def test_the_remaining_time_is_extrapolated_from_the_time_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 0.2 to 0.5 in 6 s; the other half takes 10 s."""
    clock = iter([100.0, 106.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    assert Pace.from_now(0.2).seconds_left(0.5) == pytest.approx(10)


def test_without_progress_nothing_is_known() -> None:
    assert Pace.from_now(0.2).seconds_left(0.2) is None
