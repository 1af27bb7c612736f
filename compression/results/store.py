"""Keeps evaluations and costs in an SQLite file, so that nothing is computed twice.

Each evaluation has a key of everything that it depends on. If the file cannot be read, results are computed again; if
it cannot be written, they are not kept. The caller never fails for it.
"""

import json
import math
import os
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from compression.data.cifar10 import TEST
from compression.data.images import ImageSet
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.predictions import pack_predictions, unpack_predictions
from compression.networks.model import FloatModel
from compression.paths import DATA
from compression.results.costs import Costs
from compression.results.database import Database
from compression.results.provenance import arithmetic, counting
from compression.results.result import Result
from compression.spec import CompressionSpec
from compression.spec.recipe import from_json

T = TypeVar("T")

Value = bytes | float | str | None

PLACE = "SQUEEZELAB_RESULTS"

VERSION = 1

KEY = "weights, spec, data, arithmetic"

CONTENT = "images, correct, in_top5, loss_sum, predictions, margins, checksum"

TABLES = f"""
    CREATE TABLE IF NOT EXISTS results (
        weights TEXT, spec TEXT, data TEXT, arithmetic TEXT,
        images INTEGER, correct INTEGER, in_top5 INTEGER, loss_sum REAL, predictions BLOB, margins BLOB,
        checksum INTEGER, made TEXT,
        PRIMARY KEY ({KEY})
    )
"""

INSERT = f"INSERT OR REPLACE INTO results ({KEY}, {CONTENT}, made) VALUES (?{', ?' * 11})"

SELECT = f"SELECT {CONTENT} FROM results WHERE ({KEY}) = (?, ?, ?, ?)"

LIST = f"""
    SELECT spec, {CONTENT}, costs FROM results JOIN costs USING (weights, spec)
    WHERE (weights, data, arithmetic, counting) = (?, ?, ?, ?) ORDER BY results.rowid
"""

COUNT = """
    SELECT count(*) FROM results JOIN costs USING (weights, spec)
    WHERE (weights, data, arithmetic, counting) = (?, ?, ?, ?)
"""

DELETE = f"DELETE FROM results WHERE ({KEY}) = (?, ?, ?, ?)"

COSTS = """
    CREATE TABLE IF NOT EXISTS costs (
        weights TEXT, spec TEXT, counting TEXT, costs TEXT, PRIMARY KEY (weights, spec, counting)
    )
"""


@dataclass(frozen=True)
class Key:
    """Everything that a result depends on: digests of the float weights, the images and the code, and the spec.

    `spec` is canonical JSON without the network's name, so two names for the same weights share results.
    """

    weights: str
    spec: str
    data: str
    arithmetic: str

    @classmethod
    def of(cls, model: FloatModel, spec: CompressionSpec, data: str = TEST.fingerprint) -> "Key":
        """Returns the key of `model` compressed as `spec` says, for the images that `data` names, in their order."""
        return cls(model.digest, _nameless(spec), data, arithmetic())

    @property
    def columns(self) -> tuple[str, str, str, str]:
        return self.weights, self.spec, self.data, self.arithmetic


@lru_cache(maxsize=4096)
def _nameless(spec: CompressionSpec) -> str:
    return replace(spec, model="").to_json()


class Store:
    """The results in the file at `path`, which is created when the first result is kept.

    `problem` is a sentence on what went wrong last, or None. It is cleared when a result is kept. No method raises.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(os.environ.get(PLACE) or DATA / "results.sqlite")
        self.problem: str | None = None
        self._database = Database(self.path, VERSION, TABLES)

    def get(self, key: Key, images: ImageSet) -> Evaluation | None:
        """Returns the evaluation under `key`, or None. `images` are those that it was evaluated on.

        A row that is damaged or has other labels is deleted.
        """
        if not os.path.exists(self.path):
            return None
        evaluation, problem = self._database.attempt(partial(_read, key, images), "Kept results cannot be read")
        self.problem = problem or self.problem
        return evaluation

    def put(self, key: Key, evaluation: Evaluation) -> None:
        """Keeps `evaluation` under `key` and replaces an earlier one. Margins are kept in half precision."""
        row = _row(key, evaluation)
        _, self.problem = self._database.attempt(
            lambda database: database.execute(INSERT, row), "Results cannot be kept"
        )

    def get_costs(self, key: Key) -> Costs | None:
        """Returns the costs of the network of `key`, counted by the code of now, or None; the images do not matter."""
        if not os.path.exists(self.path):
            return None
        costs, problem = self._database.attempt(partial(_read_costs, key), "Kept results cannot be read")
        self.problem = problem or self.problem
        return costs

    def put_costs(self, key: Key, costs: Costs) -> None:
        """Keeps `costs` for the network of `key`."""
        row = (key.weights, key.spec, counting(), json.dumps(asdict(costs)))

        def write(database: sqlite3.Connection) -> None:
            database.execute(COSTS)
            database.execute("INSERT OR REPLACE INTO costs VALUES (?, ?, ?, ?)", row)

        _, self.problem = self._database.attempt(write, "Results cannot be kept")

    def results(self, model: FloatModel, images: ImageSet) -> list[Result]:
        """Returns all results of `model` on `images`, which are all test images, in the order in which they were kept.

        Both the evaluation and the costs of each result come from today's code. Damaged rows are left out.
        """
        return self._list(partial(_read_all, model, images)) or []

    def count(self, model: FloatModel) -> int:
        """Returns the number of rows that `results` reads for the test images of CIFAR-10."""
        key = _list_key(model, TEST.fingerprint)
        return self._list(lambda database: database.execute(COUNT, key).fetchone()[0]) or 0

    def _list(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        if not os.path.exists(self.path):
            return None

        def do(database: sqlite3.Connection) -> T:
            database.execute(COSTS)
            return work(database)

        rows, problem = self._database.attempt(do, "Kept results cannot be read")
        self.problem = problem or self.problem
        return rows


def _list_key(model: FloatModel, data: str) -> tuple[str, ...]:
    return model.digest, data, arithmetic(), counting()


def _read_all(model: FloatModel, images: ImageSet, database: sqlite3.Connection) -> list[Result]:
    results = []
    for text, *content, costs_text in database.execute(LIST, _list_key(model, images.fingerprint)):
        if not isinstance(text, bytes):
            continue
        key = Key(model.digest, text.decode(errors="replace"), images.fingerprint, arithmetic())
        evaluation = _evaluation(tuple(content), key, images)
        costs = _costs(costs_text)
        if evaluation and costs:
            results.append(Result(replace(from_json(key.spec), model=model.name), costs, evaluation))
    return results


def _read_costs(key: Key, database: sqlite3.Connection) -> Costs | None:
    database.execute(COSTS)
    query = "SELECT costs FROM costs WHERE (weights, spec, counting) = (?, ?, ?)"
    row = database.execute(query, (key.weights, key.spec, counting())).fetchone()
    return _costs(row[0]) if row else None


def _costs(text: bytes) -> Costs | None:
    """Returns the costs that `put_costs` wrote, or None if they are damaged."""
    try:
        return Costs(**json.loads(text))
    except (TypeError, ValueError):
        return None


def _row(key: Key, evaluation: Evaluation) -> tuple[Value, ...]:
    content = (
        evaluation.total,
        evaluation.correct,
        evaluation.in_top5,
        None if math.isnan(evaluation.loss_sum) else evaluation.loss_sum,  # SQLite has no NaN
        pack_predictions(evaluation.predictions, len(evaluation.classes)),
        None if evaluation.margins is None else evaluation.margins.half().numpy().tobytes(),
    )
    return *key.columns, *content, _checksum(key, content), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


def _read(key: Key, images: ImageSet, database: sqlite3.Connection) -> Evaluation | None:
    row = database.execute(SELECT, key.columns).fetchone()
    if row is None:
        return None
    evaluation = _evaluation(row, key, images)
    if evaluation is None:
        database.execute(DELETE, key.columns)
    return evaluation


def _evaluation(row: tuple[Any, ...], key: Key, images: ImageSet) -> Evaluation | None:
    """Returns the evaluation in a row of SELECT, or None if the row is damaged or of images with other labels."""
    *content, checksum = row
    total, correct, in_top5, loss_sum, predictions, margins = content
    if checksum != _checksum(key, content) or total != len(images):
        return None
    evaluation = Evaluation(
        unpack_predictions(predictions, total, len(images.classes)),
        images.labels,
        images.classes,
        in_top5,
        math.nan if loss_sum is None else loss_sum,
        None if margins is None else torch.from_numpy(np.frombuffer(margins, np.float16).astype(np.float32)),
    )
    return evaluation if evaluation.correct == correct else None


def _checksum(key: Key, content: Sequence[Value]) -> int:
    """CRC-32 of a row with its key: SQLite notices neither a changed byte in a row nor a row under another key."""
    parts = (part if isinstance(part, bytes) else repr(part).encode() for part in (*key.columns, *content))
    return zlib.crc32(b"\0".join(parts))
