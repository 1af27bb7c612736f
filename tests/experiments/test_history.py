"""The history of searches on a disk that is full, cannot be written, or has damaged files."""

import os
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from compression.experiments.search.goal import Goal, Trial
from compression.experiments.search.history import Study, StudyFile
from compression.experiments.search.space import Space
from tests.experiments.test_search import HALF, searcher, two_layers

__all__ = ["searcher", "two_layers"]  # fixtures
SPACE = Space("made", {"first": 20, "second": 80}, False)
GOAL = Goal(0.01)
DAMAGED_FILES = 40


def opened(path: Path) -> tuple[StudyFile, Study]:
    file = StudyFile(path)
    return file, file.open("name", SPACE, GOAL, 0)


def tell_one(study: Study) -> None:
    number = study.ask()
    study.tell(number, Trial(SPACE.spec(study._proposals[number].params), 1000, HALF, HALF, 0, 0))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A history of two trials and one that runs, in one file."""
    path = tmp_path_factory.mktemp("history") / "searches.sqlite"
    _, study = opened(path)
    for _ in range(2):
        tell_one(study)
    study.ask()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


@pytest.mark.parametrize("seed", range(DAMAGED_FILES))
def test_a_damaged_history_opens_or_is_moved_aside(history: bytes, seed: int, tmp_path: Path) -> None:
    chance, content = random.Random(seed), bytearray(history)
    for _ in range(1 + seed * 4):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path = tmp_path / "searches.sqlite"
    path.write_bytes(content[: chance.choice([len(content), len(content), len(content) // 2])])
    file, study = opened(path)
    assert bool(file.problem) == bool(list(tmp_path.glob("*.damaged-*")))
    if file.problem:
        tell_one(study)
        assert len(study.trials) == 1


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that can be read but not written."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        yield Path(folder)
        os.chmod(folder, 0o755)


def test_a_search_in_a_folder_that_cannot_be_written_is_kept_in_memory(read_only, two_layers, as_nobody) -> None:
    del as_nobody
    _, study = file_and_study = opened(read_only / "searches.sqlite")
    tell_one(study)
    assert len(study.trials) == 1
    assert file_and_study[0].problem == "The history of searches is not kept: its file cannot be opened."


def test_a_search_on_a_full_disk_goes_on_in_memory(two_layers, searcher, tmp_path, room_for) -> None:
    room_for(20_000)
    search = searcher()
    readings = [search.look(two_layers, GOAL, 4) for _ in range(60)]
    room_for(-1)
    assert not any(reading.error for reading in readings)
    assert readings[-1].trials
    assert readings[-1].notice == "The history of searches is not kept: the disk is full or fails."
