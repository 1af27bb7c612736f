"""Which sessions have long jobs, which of these jobs run, and which wait for their turn.

A session runs one long job at a time, and its others wait until that has ended. The counts of images that a slider asks
for are noted too: they never wait for a job, and workers take them first. A job is

    waiting     another job of its session began before it
    running     the others of its session have ended

    absent  -> waiting, running    somebody looks at it
    waiting -> running             the jobs before it have ended
    any     -> absent              it ends, or nobody has looked for FORGET_SECONDS
"""

import threading
import time
from dataclasses import dataclass, replace
from enum import StrEnum

FORGET_SECONDS = 10  # pages look every second

STARVED_SECONDS = 5


class JobKind(StrEnum):
    """What a session asks the workers for, as the queue calls it."""

    COUNT = "count of images"
    SWEEP = "sweep"
    SEARCH = "search"
    SCAN = "scan of layers"
    EXPORT = "export"
    INSPECTION = "look inside"
    LADDER = "ladder of recovery"
    TRAINING = "training"


@dataclass(frozen=True)
class Job:
    """A job of `session`. Times are in seconds on the monotonic clock.

    `share` (0..1) is done since `advanced_at`.
    """

    session: str
    kind: JobKind
    began_at: float
    seen_at: float
    advanced_at: float
    share: float = 0.0

    @property
    def is_long(self) -> bool:
        """Whether it takes turns with the other long jobs of its session."""
        return self.kind is not JobKind.COUNT


@dataclass(frozen=True)
class Place:
    """Where a job stands: `before` jobs of its own session come first.

    `sessions` others use the workers now, and `is_starved` says that the job has not advanced for STARVED_SECONDS
    because of them.
    """

    before: int = 0
    sessions: int = 0
    is_starved: bool = False

    @property
    def runs(self) -> bool:
        """Whether it is the turn of this job."""
        return self.before == 0


@dataclass(frozen=True)
class QueueEntry:
    """A row of the queue. Sessions have numbers, from 1, in the order in which their jobs began; `seconds` old."""

    session: int
    kind: JobKind
    seconds: float
    share: float
    place: Place


class Jobs:
    """The jobs of all sessions of this process. Every method may be called from any thread, and returns at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[tuple[str, JobKind], Job] = {}

    def look(self, session: str, kind: JobKind, share: float | None = None) -> Place:
        """Notes that `session` waits for a job of which `share` (0..1) is done, and returns its place.

        A `share` of None is the one of the look before.
        """
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            job = self._jobs.get((session, kind)) or Job(session, kind, now, now, now)
            place = self._place(job, now)
            if not place.runs or share not in (None, job.share):  # waiting for a turn does not count as no progress
                job = replace(job, advanced_at=now)
            self._jobs[session, kind] = replace(job, seen_at=now, share=job.share if share is None else share)
            return place

    def end(self, session: str, kind: JobKind) -> None:
        """Notes that the job is done or stopped."""
        with self._lock:
            self._jobs.pop((session, kind), None)

    def queue(self) -> tuple[QueueEntry, ...]:
        """Returns all jobs, those of the first session first; a session is named by a number and by nothing else."""
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            jobs = list(self._jobs.values())
            numbers = {session: number for number, session in enumerate(dict.fromkeys(job.session for job in jobs), 1)}
            entries = (
                QueueEntry(numbers[job.session], job.kind, now - job.began_at, job.share, self._place(job, now))
                for job in jobs
            )
            return tuple(sorted(entries, key=lambda entry: (entry.session, entry.place.before, -entry.seconds)))

    def _place(self, job: Job, now: float) -> Place:
        others = {each.session for each in self._jobs.values()} - {job.session}
        if not job.is_long:
            return Place(0, len(others))
        before = sum(
            each.is_long and each.session == job.session and each.began_at < job.began_at
            for each in self._jobs.values()
        )
        starved = bool(others) and before == 0 and now - job.advanced_at > STARVED_SECONDS
        return Place(before, len(others), starved)

    def _forget(self, now: float) -> None:
        """Drops jobs that nobody has looked at for long: their session has left the page, or has gone."""
        for key, job in list(self._jobs.items()):
            if now - job.seen_at > FORGET_SECONDS:
                del self._jobs[key]
