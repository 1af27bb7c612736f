"""The studies of all searches, in an SQLite file that Optuna keeps. The only file that imports Optuna.

A trial that was proposed and has no result is proposed again after a kill; one that has a result never is.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution, distribution_to_json
from optuna.samplers import NSGAIISampler
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from compression.errors import HistoryError
from compression.experiments.search.goal import Goal, Trial, excess
from compression.experiments.search.space import BITS, HUNDREDTHS, SCHEME, SCHEMES, SPARSITY, Choice, Space, bits_key

POPULATION = 24

SEEDED, GOAL = "seeded", "goal"  # names of attributes in the file

LOCK_SECONDS = 5

MOST_DAMAGED = 3  # files of one process that are moved aside

RESULTS = {  # the name of each result in the file, and in `Trial`
    "bytes": "file_bytes",
    "images": "images",
    "correct": "correct",
    "lost": "lost",
    "won": "won",
}

UNWRITABLE = {  # SQLite's result codes that say nothing about the content of the file, in words
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk is full or fails",
    sqlite3.SQLITE_READONLY: "its file cannot be written",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened",
    sqlite3.SQLITE_PERM: "its file cannot be opened",
    sqlite3.SQLITE_BUSY: "another program keeps its file locked",
    sqlite3.SQLITE_LOCKED: "another program keeps its file locked",
}

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Study:
    """The study of one search. Every method raises HistoryError if its file cannot be read or written.

    `trials` maps the number of each complete trial to it, `running` the number of each proposed one to its choice.
    """

    def __init__(self, storage: BaseStorage, name: str, space: Space, goal: Goal, seed: int) -> None:
        self._goal = goal
        self._proposals: dict[int, optuna.Trial] = {}
        self._distributions = _distributions(space)
        self._study = optuna.create_study(
            storage=storage,
            study_name=f"{name} {_digest(self._distributions)}",
            directions=["minimize", "minimize"],
            load_if_exists=True,
        )
        trials = self._study.get_trials(deepcopy=False)
        self._study.sampler = NSGAIISampler(seed=seed + len(trials), population_size=POPULATION)
        self.trials = {each.number: _trial(space, each) for each in trials if each.state is TrialState.COMPLETE}
        self.running: dict[int, Choice] = {}
        for each in trials:
            if each.state is TrialState.RUNNING and each.params.keys() == self._distributions.keys():
                self.running[each.number] = each.params
                self._proposals[each.number] = optuna.Trial(self._study, each._trial_id)
            elif each.state is TrialState.RUNNING:  # the process was killed while Optuna proposed it
                self._study.tell(each.number, state=TrialState.FAIL)

    @property
    def is_seeded(self) -> bool:
        """Whether the first choices are set."""
        with _in_words():
            return bool(self._study.user_attrs.get(SEEDED))

    def seed(self, choices: Sequence[Choice]) -> None:
        """Sets the choices that are proposed first, in this order."""
        with _in_words():
            for choice in choices:
                self._study.enqueue_trial(dict(choice), skip_if_exists=True)
            self._study.set_user_attr(SEEDED, True)

    def ask(self) -> int:
        """Proposes a trial, which is now `running`; returns its number."""
        with _in_words():
            proposal = self._study.ask(self._distributions)
        self._proposals[proposal.number] = proposal
        self.running[proposal.number] = proposal.params
        return proposal.number

    def tell(self, number: int, trial: Trial) -> None:
        """Sets the result of a proposed trial.

        Drop and bytes are both minimized; new trials descend rather from those near the goal.
        """
        proposal = self._proposals.pop(number)
        with _in_words():
            for name, field in RESULTS.items():
                proposal.set_user_attr(name, getattr(trial, field))
            proposal.set_constraint(GOAL, excess(self._goal, trial))
            self._study.tell(number, (trial.drop, float(trial.file_bytes)), skip_if_finished=True)
        del self.running[number]
        self.trials[number] = trial


class StudyFile:
    """The studies in the file at `path`; in memory alone if there can be no such file.

    `problem` is a sentence on what was wrong with the file, or None.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        self._storage: BaseStorage | None = None
        self._damaged = 0

    def open(self, name: str, space: Space, goal: Goal, seed: int) -> Study:
        """Returns the study of that name, a new one if there is none. A file that cannot be used is replaced first."""
        for _ in range(2):
            try:
                with _in_words():
                    return Study(self._connect(), name, space, goal, seed)
            except HistoryError as error:
                self.replace(error)
        return Study(self._connect(), name, space, goal, seed)

    def replace(self, error: HistoryError) -> None:
        """Moves the file aside if `error` says that it is damaged; otherwise goes on in memory.

        After MOST_DAMAGED files it is not the file that is to blame. Raises `error` if it comes from the memory.
        """
        if isinstance(self._storage, InMemoryStorage):
            raise error
        self._damaged += 1
        reason = _reason(error) or ("new files are damaged, too" if self._damaged > MOST_DAMAGED else None)
        if reason is None:
            try:
                self._move_aside()
                return
            except OSError as failure:
                reason = f"{self.path} was damaged and cannot be moved aside ({failure.strerror})"
        self.problem = f"The history of searches is not kept: {reason}."
        self._storage = InMemoryStorage()

    def _connect(self) -> BaseStorage:
        if self._storage is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            creator = {"creator": partial(_connection, self.path)}
            self._storage = RDBStorage(f"sqlite:///{self.path}", engine_kwargs=creator)
        return self._storage

    def _move_aside(self) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged-{datetime.now():%Y%m%d-%H%M%S-%f}")
        self._storage = None
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        os.replace(self.path, aside)
        self.problem = f"{self.path} was damaged. It is now {aside.name}, and a new file was started."


@contextmanager
def _in_words() -> Iterator[None]:
    """Raises HistoryError for whatever Optuna raises: from a damaged file that can be any exception."""
    try:
        yield
    except HistoryError:
        raise
    except Exception as error:
        raise HistoryError(f"the history of searches cannot be used: {error}") from error


def _reason(error: BaseException) -> str | None:
    """Returns why the file cannot be opened or written, or None if it is damaged."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, sqlite3.DatabaseError) and getattr(cause, "sqlite_errorcode", 0) & 0xFF in UNWRITABLE:
            return UNWRITABLE[cause.sqlite_errorcode & 0xFF]
        if isinstance(cause, OSError):
            return f"{cause.filename}: {cause.strerror}"
        cause = cause.__cause__
    return None


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    """Returns what Optuna chooses from, by the names of a choice."""
    return {
        **{bits_key(layer): CategoricalDistribution(BITS) for layer in space.weights},
        SCHEME: CategoricalDistribution(range(len(SCHEMES))),
        SPARSITY: IntDistribution(HUNDREDTHS[0], HUNDREDTHS[-1], step=HUNDREDTHS.step),
    }


def _digest(distributions: Mapping[str, BaseDistribution]) -> str:
    """Returns a digest that tells searches of different spaces apart, which otherwise look like damage."""
    values = [(name, distribution_to_json(each)) for name, each in sorted(distributions.items())]
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def _trial(space: Space, trial: FrozenTrial) -> Trial:
    results = {field: trial.user_attrs[name] for name, field in RESULTS.items()}
    return Trial(space.spec(trial.params), **results)


def _connection(path: Path) -> sqlite3.Connection:
    """Connects with a write-ahead log: Optuna writes each parameter by itself and would wait for the disk each time."""
    connection = sqlite3.connect(path, timeout=LOCK_SECONDS, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection
