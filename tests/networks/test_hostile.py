"""Hostile files are refused with an error: none of their code runs, none fills the memory, and no process crashes."""

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.support.hostile import EVAL, HOSTILE, INSTANCE, STACKED, SYSTEM, TRACE, pickle_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder in which the hostile files are read."""
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> list:
    """Returns the outcome per hostile file, read in a separate process that may crash, and then its peak memory."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.support.hostile"]
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    assert process.returncode == 0, f"ended with {process.returncode} after {lines[-1:]}: {process.stderr[-2000:]}"
    return lines


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_words(name: str, outcomes: list) -> None:
    kind, words = next((kind, words) for file, _, kind, words in outcomes[:-1] if file == name)
    assert kind == "CheckpointError"
    assert re.search(HOSTILE[name][1], words), words


def test_no_small_file_grows_large(outcomes: list) -> None:
    *files, memory_mb = outcomes
    if not memory_mb:
        pytest.skip("the memory of a process is read from /proc")
    assert max(size for _, size, _, _ in files) < 2_500_000
    assert memory_mb < 200


def test_no_code_of_a_hostile_file_ran(outcomes: list, folder: Path) -> None:
    assert len(outcomes) == len(HOSTILE) + 1
    assert not list(folder.iterdir())


@pytest.mark.parametrize("code", [SYSTEM, EVAL, STACKED, INSTANCE], ids=["system", "eval", "stacked", "instance"])
def test_the_code_in_these_files_is_real(code: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle_of(code))
    assert (tmp_path / TRACE).exists()
