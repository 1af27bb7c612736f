"""The studies of all searches, in an SQLite file that Optuna keeps. The only file that imports Optuna.

A trial that was proposed and has no result is proposed again after a kill; one that has a result never is.
"""

import hashlib
import os
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution, distribution_to_json
from optuna.samplers import NSGAIISampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from compression.experiments.search.goal import Goal, Trial, excess
from compression.experiments.search.space import BITS, HUNDREDTHS, SCHEME, SCHEMES, SPARSITY, Choice, Space, bits_key

POPULATION = 24

SEEDED, GOAL = "seeded", "goal"  # names of attributes in the file

LOCK_SECONDS = 5

RESULTS = {  # the name of each result in the file, and in `Trial`
    "bytes": "file_bytes",
    "images": "images",
    "correct": "correct",
    "lost": "lost",
    "won": "won",
}

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Study:
    """The study of one search.

    `trials` maps the number of each complete trial to it, `running` the number of each proposed one to its choice.
    """

    def __init__(self, storage: RDBStorage, name: str, space: Space, goal: Goal, seed: int) -> None:
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
        return bool(self._study.user_attrs.get(SEEDED))

    def seed(self, choices: Sequence[Choice]) -> None:
        """Sets the choices that are proposed first, in this order."""
        for choice in choices:
            self._study.enqueue_trial(dict(choice), skip_if_exists=True)
        self._study.set_user_attr(SEEDED, True)

    def ask(self) -> int:
        """Proposes a trial, which is now `running`; returns its number."""
        proposal = self._study.ask(self._distributions)
        self._proposals[proposal.number] = proposal
        self.running[proposal.number] = proposal.params
        return proposal.number

    def tell(self, number: int, trial: Trial) -> None:
        """Sets the result of a proposed trial.

        Drop and bytes are both minimized; new trials descend rather from those near the goal.
        """
        proposal = self._proposals.pop(number)
        for name, field in RESULTS.items():
            proposal.set_user_attr(name, getattr(trial, field))
        proposal.set_constraint(GOAL, excess(self._goal, trial))
        self._study.tell(number, (trial.drop, float(trial.file_bytes)), skip_if_finished=True)
        del self.running[number]
        self.trials[number] = trial


class StudyFile:
    """The studies in the file at `path`. `problem` is a sentence on what was wrong with the file, or None."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        self._storage: RDBStorage | None = None

    def open(self, name: str, space: Space, goal: Goal, seed: int) -> Study:
        """Returns the study of that name, a new one if there is none. A damaged file is moved aside first.

        Raises OSError if no file can be made.
        """
        try:
            return Study(self._connect(), name, space, goal, seed)
        except (SQLAlchemyError, sqlite3.DatabaseError, RuntimeError, KeyError, ValueError):
            self._move_aside()
            return Study(self._connect(), name, space, goal, seed)

    def _connect(self) -> RDBStorage:
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
