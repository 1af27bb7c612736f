"""Long jobs take turns within a session, and every one says what it waits for."""

import pytest

from compression.engine import jobs as module
from compression.engine.jobs import FORGET_SECONDS, STARVED_SECONDS, JobKind, Jobs, Place
from pages.ui import wording


class Clock:
    """A clock that goes on when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_session_runs_one_long_job_at_a_time_in_the_order_in_which_they_began(clock: Clock) -> None:
    jobs = Jobs()
    kinds = (JobKind.SWEEP, JobKind.SEARCH, JobKind.SCAN, JobKind.EXPORT)
    for _ in range(2):
        assert [jobs.look("greedy", kind).before for kind in kinds] == [0, 1, 2, 3]
    jobs.end("greedy", JobKind.SWEEP)
    assert [jobs.look("greedy", kind).before for kind in kinds[1:]] == [0, 1, 2]
    assert jobs.look("greedy", JobKind.SWEEP).before == 3


def test_no_job_of_another_session_and_no_count_is_waited_for(clock: Clock) -> None:
    jobs = Jobs()
    jobs.look("greedy", JobKind.SWEEP)
    assert jobs.look("greedy", JobKind.COUNT).runs
    assert jobs.look("modest", JobKind.SCAN).runs
    assert jobs.look("greedy", JobKind.SEARCH).before == 1


def test_a_job_of_a_page_that_was_left_is_waited_for_no_longer(clock: Clock) -> None:
    jobs = Jobs()
    jobs.look("one", JobKind.SWEEP)
    assert not jobs.look("one", JobKind.SCAN).runs
    clock.now += FORGET_SECONDS - 1
    jobs.look("one", JobKind.SCAN)
    clock.now += 2
    assert jobs.look("one", JobKind.SCAN).runs
    assert jobs.look("one", JobKind.SWEEP).before == 1


def test_a_job_that_does_not_advance_beside_others_waits_for_them(clock: Clock) -> None:
    jobs = Jobs()

    def place(share: float) -> Place:
        for student in ("a", "b", "c"):
            jobs.look(student, JobKind.COUNT)
        return jobs.look("one", JobKind.SWEEP, share)

    place(0.25)
    clock.now += STARVED_SECONDS + 1
    assert wording.outlook(130_000, place(0.25)) == ", waiting for 3 others"
    place(0.26)
    assert wording.outlook(75, place(0.26)) == ", about 1 min 15 s left"


def test_a_job_alone_waits_for_nobody_however_slow_it_is(clock: Clock) -> None:
    jobs = Jobs()
    jobs.look("one", JobKind.SWEEP, 0.25)
    clock.now += FORGET_SECONDS - 1
    assert not jobs.look("one", JobKind.SWEEP, 0.25).is_starved


def test_what_a_job_waits_for_in_words() -> None:
    assert wording.outlook(9.0, Place(before=1)) == ", 1 job is before this one"
    assert wording.outlook(9.0, Place(before=2, sessions=4)) == ", 2 jobs are before this one"
    assert wording.outlook(None, Place(sessions=1, is_starved=True)) == ", waiting for 1 other"
    assert wording.outlook(None, Place()) == ""


def test_the_queue_names_no_session(clock: Clock) -> None:
    jobs = Jobs()
    jobs.look("secret", JobKind.SWEEP, 0.5)
    jobs.look("other", JobKind.COUNT)
    jobs.look("secret", JobKind.SCAN)
    clock.now += 3
    queue = jobs.queue()
    assert [(entry.session, entry.kind, entry.share, entry.place.before) for entry in queue] == [
        (1, JobKind.SWEEP, 0.5, 0),
        (1, JobKind.SCAN, 0.0, 1),
        (2, JobKind.COUNT, 0.0, 0),
    ]
    assert all(3 <= entry.seconds < 4 for entry in queue)
    assert "secret" not in repr(queue)
