"""Temporary folders end with their process; those of a killed one are removed at the next start."""

import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from compression.engine.scratch import Scratch
from compression.paths import PROJECT

HOLD = "import sys, time; {}; print({}, flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder for temporary files, in this process and in those that it starts."""
    pytest.importorskip("fcntl", reason="this system cannot lock files")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def start(code: str, words: str) -> tuple[subprocess.Popen[str], str]:
    """Starts a process that runs `code` and stays; returns it and what it prints of `words`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(code, words)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    return process, process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def test_a_folder_is_removed_with_all_that_is_in_it(own_folder: Path) -> None:
    scratch = Scratch()
    (scratch.path / "deep").mkdir()
    (scratch.path / "deep" / "file").write_text("content")
    scratch.remove()
    assert list(own_folder.iterdir()) == []


def test_the_next_start_removes_the_folder_of_a_killed_process_and_no_other(own_folder: Path) -> None:
    code = "from compression.engine.scratch import Scratch; it = Scratch()"
    killed, killed_path = start(code, "it.path")
    alive, alive_path = start(code, "it.path")
    (own_folder / "squeezelab-notes").mkdir()
    end(killed)
    here = Scratch()
    assert {str(path) for path in own_folder.iterdir()} == {
        alive_path,
        str(here.path),
        str(own_folder / "squeezelab-notes"),
    }
    assert killed_path != alive_path
    end(alive)
    here.remove()


def test_a_killed_server_leaves_neither_workers_nor_a_timing_process(own_folder: Path) -> None:
    """The processes end by themselves, and the next start removes their folders."""
    code = (
        "from compression.engine.cluster import Engine\n"
        "from compression.deploy.stopwatch import Stopwatch\n"
        "engine, watch = Engine(address='', workers=1), Stopwatch({1: 10**9})\n"
        "engine.tend()\n"
        "from tests.deploy.test_latency import sum_graph\n"
        "watch.look('x', {'a': sum_graph()}, 1)\n"
        "while watch.look('x', {}, 1).share == 0 or not engine._workers.address: time.sleep(0.05)\n"
    )
    processes = "*engine.worker_pids, engine._workers._scheduler.running.pid, watch._running[2].pid"
    server, pids = start(f"exec({code!r})", processes)
    children = [psutil.Process(int(pid)) for pid in pids.split()]
    assert len(children) == 3
    end(server)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not [each for each in alive if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert len(list(own_folder.glob("squeezelab-*"))) == 2
    Scratch().remove()
    assert list(own_folder.glob("squeezelab-*")) == []
