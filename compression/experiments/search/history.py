"""The history of a search, in an SQLite file: Optuna asks and is told. The only file that imports it.

What was asked and not yet told is asked again after a kill, and what was told is never asked again.
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

from compression.experiments.search.goal import Goal, Tried, beyond
from compression.experiments.search.space import BITS, HUNDREDTHS, SCHEME, SCHEMES, SPARSITY, Point, Space, key

POPULATION = 24

SEEDED, GOAL = "seeded", "goal"

LOCK_SECONDS = 5

FACTS = ("bytes", "images", "correct", "lost", "won")

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Study:
    """One search. `tried`: number -> what was told; `running`: what was asked and is not told yet."""

    def __init__(self, storage: RDBStorage, name: str, space: Space, goal: Goal, seed: int) -> None:
        self._goal = goal
        self._trials: dict[int, optuna.Trial] = {}
        self._distributions: dict[str, BaseDistribution] = {
            key(layer): CategoricalDistribution(BITS) for layer in space.weights
        }
        self._distributions[SCHEME] = CategoricalDistribution(range(len(SCHEMES)))
        self._distributions[SPARSITY] = IntDistribution(HUNDREDTHS[0], HUNDREDTHS[-1], step=HUNDREDTHS.step)
        self._study = optuna.create_study(
            storage=storage,
            study_name=f"{name} {_digest(self._distributions)}",
            directions=["minimize", "minimize"],
            load_if_exists=True,
        )
        trials = self._study.get_trials(deepcopy=False)
        self._study.sampler = NSGAIISampler(seed=seed + len(trials), population_size=POPULATION)
        self.tried = {trial.number: _tried(space, trial) for trial in trials if trial.state is TrialState.COMPLETE}
        self.running: dict[int, Point] = {}
        for trial in trials:
            if trial.state is TrialState.RUNNING and trial.params.keys() == self._distributions.keys():
                self.running[trial.number] = trial.params
                self._trials[trial.number] = optuna.Trial(self._study, trial._trial_id)
            elif trial.state is TrialState.RUNNING:  # killed while it was asked
                self._study.tell(trial.number, state=TrialState.FAIL)

    @property
    def seeded(self) -> bool:
        return bool(self._study.user_attrs.get(SEEDED))

    def seed(self, points: Sequence[Point]) -> None:
        """What is asked first, in this order."""
        for point in points:
            self._study.enqueue_trial(dict(point), skip_if_exists=True)
        self._study.set_user_attr(SEEDED, True)

    def ask(self) -> int:
        """The number of the next one, which is now `running`."""
        trial = self._study.ask(self._distributions)
        self._trials[trial.number] = trial
        self.running[trial.number] = trial.params
        return trial.number

    def tell(self, number: int, tried: Tried) -> None:
        """How it went: accuracy that is lost, and bytes, are both to be few. Parents are rather those near the goal."""
        trial = self._trials.pop(number)
        for fact in FACTS:
            trial.set_user_attr(fact, getattr(tried, fact))
        trial.set_constraint(GOAL, beyond(self._goal, tried))
        self._study.tell(number, (tried.drop, float(tried.bytes)), skip_if_finished=True)
        del self.running[number]
        self.tried[number] = tried


class Studies:
    """All searches in the file at `path`. `problem`: what was wrong with it, in a sentence, or None."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        self._storage: RDBStorage | None = None

    def open(self, name: str, space: Space, goal: Goal, seed: int) -> Study:
        """The search of that name, begun or gone on with. A file that is damaged is moved aside, and a new one begun.

        Raises OSError where there is no place for a file.
        """
        try:
            return Study(self._opened(), name, space, goal, seed)
        except (SQLAlchemyError, sqlite3.DatabaseError, RuntimeError, KeyError, ValueError):
            self._move_aside()
            return Study(self._opened(), name, space, goal, seed)

    def _opened(self) -> RDBStorage:
        if self._storage is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connect = {"creator": partial(_connection, self.path)}
            self._storage = RDBStorage(f"sqlite:///{self.path}", engine_kwargs=connect)
        return self._storage

    def _move_aside(self) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged-{datetime.now():%Y%m%d-%H%M%S-%f}")
        self._storage = None
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        os.replace(self.path, aside)
        self.problem = f"{self.path} was damaged. It is now {aside.name}, and a new one was begun"


def _digest(distributions: Mapping[str, BaseDistribution]) -> str:
    """A search of another space is another one, and no damage."""
    said = [(name, distribution_to_json(each)) for name, each in sorted(distributions.items())]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def _tried(space: Space, trial: FrozenTrial) -> Tried:
    return Tried(space.spec(trial.params), *(trial.user_attrs[fact] for fact in FACTS))


def _connection(path: Path) -> sqlite3.Connection:
    """With a write-ahead log: Optuna writes each parameter by itself, and would wait for the disk each time."""
    connection = sqlite3.connect(path, timeout=LOCK_SECONDS, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection
