"""What Optuna keeps of a search, in an SQLite file, and what it chooses from. The only file that opens its studies.

It chooses by NSGA-II (Deb et al. 2002, IEEE Transactions on Evolutionary Computation 6:182-197) what to try next, to
take few bytes and to lose little; what misses the goal comes after all that meets it.
"""

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import DatabaseError

from compression.data import DATA
from compression.halves import OnHalf
from compression.recipes import from_json
from compression.search import BITS, SPARSITIES, SPARSITY, Goal, Tried, violation

PLACE = DATA / "searches.sqlite"
POPULATION = 20
TRIED = "tried"

optuna.logging.set_verbosity(optuna.logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)


def space(layers: Sequence[str]) -> dict[str, BaseDistribution]:
    """What a trial is made of: bits for each layer, and a sparsity for all of them."""
    bits: dict[str, BaseDistribution] = {name: CategoricalDistribution(BITS) for name in layers}
    return bits | {SPARSITY: CategoricalDistribution(SPARSITIES)}


def opened(path: Path, name: str, layers: Sequence[str], seed: int) -> optuna.Study:
    """The study `name`, begun anew or gone on with: what was on its way is asked for once more.

    A file that cannot be read is moved aside. Raises OSError where there can be none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _opened(path, name, layers, seed)
    except (DatabaseError, optuna.exceptions.StorageInternalError, RuntimeError):
        with suppress(FileNotFoundError):
            path.rename(f"{path}.damaged-{datetime.now():%Y%m%d-%H%M%S-%f}")
        return _opened(path, name, layers, seed)


def _opened(path: Path, name: str, layers: Sequence[str], seed: int) -> optuna.Study:
    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    study = optuna.create_study(
        storage=f"sqlite:///{path}",
        study_name=name,
        directions=["minimize", "minimize"],
        sampler=sampler,
        load_if_exists=True,
    )
    for lost in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(lost.number, state=TrialState.FAIL)
        if len(lost.params) == len(space(layers)):
            study.enqueue_trial(dict(lost.params))
    return study


def tell(study: optuna.Study, trial: optuna.Trial, goal: Goal, tried: Tried) -> None:
    """What came of a trial: the bytes of its file, what it loses, and whether it meets the goal."""
    values = {"spec": tried.spec.to_json(), "file": tried.file, "found": asdict(tried.found)}
    trial.set_constraint("goal", violation(goal, tried))
    trial.set_user_attr(TRIED, json.dumps(values))
    study.tell(trial, [float(tried.file), tried.found.drop])


def told(study: optuna.Study) -> list[Tried]:
    """What came of all trials that are done, in turn."""
    return [_as_tried(trial) for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))]


def _as_tried(trial: FrozenTrial) -> Tried:
    values = json.loads(trial.user_attrs[TRIED])
    return Tried(from_json(values["spec"]), values["file"], OnHalf(**values["found"]))
