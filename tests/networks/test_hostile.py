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
from tests.support.hostile import EVAL, HOSTILE, INSTANCE, STACKED, SYSTEM, TRACE, pickled


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the hostile files are read."""
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def printed(folder: Path) -> list:
    """The outcome for each hostile file, read in a separate process that may crash, and its memory at the end."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.support.hostile"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended with {done.returncode} after {lines[-1:]}: {done.stderr[-2000:]}"
    return lines


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_words(name: str, printed: list) -> None:
    kind, words = next((kind, words) for file, _, kind, words in printed[:-1] if file == name)
    assert kind == "CheckpointError"
    assert re.search(HOSTILE[name][1], words), words


def test_no_small_file_grows_large(printed: list) -> None:
    *files, memory_mb = printed
    if not memory_mb:
        pytest.skip("the memory of a process is read from /proc")
    assert max(size for _, size, _, _ in files) < 2_500_000
    assert memory_mb < 200


def test_no_code_of_a_hostile_file_ran(printed: list, folder: Path) -> None:
    assert len(printed) == len(HOSTILE) + 1
    assert not list(folder.iterdir())


@pytest.mark.parametrize("code", [SYSTEM, EVAL, STACKED, INSTANCE], ids=["system", "eval", "stacked", "instance"])
def test_the_code_in_these_files_is_real(code: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickled(code))
    assert (tmp_path / TRACE).exists()
