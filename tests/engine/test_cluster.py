"""The engine: results come back whatever dies, each task runs once, urgent ones first; only this machine connects."""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from compression.__main__ import main
from compression.engine import cluster
from compression.engine.cluster import Engine, Shared, TaskKey
from compression.engine.workers import NICENESS, Workers, niceness
from compression.errors import EngineError
from compression.paths import PROJECT
from tests.support.work import keep, need, shared_length, square, stand_still_after, write_down

SECONDS = 60


def collect(
    engine: Engine, keys: list[TaskKey], each: Callable[[int], None] = lambda done: None
) -> dict[TaskKey, object]:
    """Waits for all results of `keys`; `each` is called after every look with the number of results so far."""
    results: dict[TaskKey, object] = {}
    deadline = time.monotonic() + SECONDS
    while len(results) < len(keys):
        assert time.monotonic() < deadline, f"{len(results)} of {len(keys)} in {SECONDS} s"
        results |= engine.take(keys)
        each(len(results))
        time.sleep(0.02)
    return results


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Two workers of this machine, for the tests that leave them alive."""
    engine = Engine(address="", workers=2, preload=["compression.engine.cluster", "tests.support.work"])
    engine.ask(("warm", 0), square, 1)
    collect(engine, [("warm", 0)])
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def one_worker() -> Iterator[Engine]:
    engine = Engine(address="", workers=1, preload=["tests.support.work"])
    engine.ask(("warm", 0), square, 1)
    collect(engine, [("warm", 0)])
    yield engine
    engine.close()


def test_each_result_comes_back_once(engine: Engine) -> None:
    keys = [("squares", number) for number in range(20)]
    for name, number in keys:
        engine.ask((name, number), square, number)
    assert collect(engine, keys) == {key: key[1] ** 2 for key in keys}
    assert engine.take(keys) == {}


def test_equal_keys_are_one_task_for_all_who_use_the_scheduler(engine: Engine, tmp_path: Path) -> None:
    engine.ask(("warm", 1), square, 1)
    collect(engine, [("warm", 1)])
    other = Engine(address=engine._workers.address)
    other.tend()
    for who in (engine, other, engine):
        who.ask(("once", 0), write_down, str(tmp_path / "trace"), "run", 0.3)
    assert [collect(who, [("once", 0)]) for who in (engine, other)] == 2 * [{("once", 0): "run"}]
    assert (tmp_path / "trace").read_text() == "run\n"
    other.close()


def test_a_dropped_task_is_not_started(one_worker: Engine, tmp_path: Path) -> None:
    keys = [("dropped", number) for number in range(12)]
    for key in keys:
        one_worker.ask(key, write_down, str(tmp_path / "trace"), str(key[1]), 0.1)
    one_worker.drop(keys)
    one_worker.ask(("after", 0), write_down, str(tmp_path / "trace"), "after")
    collect(one_worker, [("after", 0)])
    words = (tmp_path / "trace").read_text().split()
    assert words[-1] == "after"
    assert len(words) <= 4
    assert one_worker.take(keys) == {}


def test_the_task_with_the_highest_priority_runs_first(one_worker: Engine, tmp_path: Path) -> None:
    one_worker.ask(("block", 0), square, 1, 0.5)
    for number in range(8):
        one_worker.ask(("sweep", number), write_down, str(tmp_path / "trace"), "sweep", 0.02, priority=-1)
    for number in range(8):
        one_worker.ask(("slider", number), write_down, str(tmp_path / "trace"), "slider", 0.02, priority=number)
    collect(one_worker, [(name, number) for name in ("sweep", "slider") for number in range(8)])
    order = (tmp_path / "trace").read_text().split()
    assert order.index("slider") <= 2
    assert order[-6:] == 6 * ["sweep"]


def test_a_value_that_tasks_share_arrives_in_each(engine: Engine) -> None:
    value = Shared("half a megabyte", bytes(500_000))
    for number in range(4):
        engine.ask(("shared", number), shared_length, value)
    assert set(collect(engine, [("shared", number) for number in range(4)]).values()) == {500_000}


def test_no_more_is_shared_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "MOST_SHARED_BYTES", 1_000_000)
    engine = Engine(address="", workers=1, preload=["tests.support.work"])
    for number in range(5):
        engine.ask(("shared", number), shared_length, Shared(f"value {number}", bytes(400_000)))
        assert collect(engine, [("shared", number)]) == {("shared", number): 400_000}
    assert [value.nbytes // 100_000 for value in engine._shared.values()] == [4, 4]
    engine.close()


def test_an_engine_at_rest_lets_go_of_what_was_shared_and_kept(engine: Engine) -> None:
    def kept(number: int) -> object:
        engine.ask(("kept", number), keep, number)
        return collect(engine, [("kept", number)])[("kept", number)]

    counts = [kept(number) for number in range(6)]
    assert max(counts) >= 3  # one of the two workers
    engine.ask(("rest", 0), shared_length, Shared("a value", bytes(1000)))
    assert not engine.rest(3600)  # it was used just now
    collect(engine, [("rest", 0)])
    assert engine.rest(0)
    assert len(engine._shared) == 0
    assert not engine.rest(0)  # there is nothing left
    assert kept(6) == 1
    engine.ask(("rest", 1), shared_length, Shared("a value", bytes(1000)))
    assert collect(engine, [("rest", 1)]) == {("rest", 1): 1000}


def test_the_scheduler_forgets_tasks_whose_results_were_taken(engine: Engine) -> None:
    def groups_of_tasks(dask_scheduler: object) -> int:
        return sum(type(each).__name__ == "TaskGroup" for each in gc.get_objects())

    keys = [(f"forgotten-{number}", 0) for number in range(20)]
    for key in keys:
        engine.ask(key, square, 1)
    collect(engine, keys)
    client, deadline = engine._client, time.monotonic() + SECONDS
    assert client is not None
    while client.run_on_scheduler(groups_of_tasks) >= len(keys):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_failure_is_reported_in_its_own_words_and_can_be_asked_again(engine: Engine, tmp_path: Path) -> None:
    for _ in range(3):
        engine.ask(("fails", 0), need, str(tmp_path / "images"))
        with pytest.raises(EngineError, match=r"^there are no images here$"):
            collect(engine, [("fails", 0)])
    (tmp_path / "images").write_text("here they are")
    engine.ask(("fails", 0), need, str(tmp_path / "images"))
    assert collect(engine, [("fails", 0)]) == {("fails", 0): "here they are"}


@pytest.mark.parametrize("victim", ["worker", "scheduler"])
def test_work_is_completed_although_a_process_is_killed(victim: str) -> None:
    engine = Engine(address="", workers=2, preload=["tests.support.work"])
    keys = [("survives", number) for number in range(40)]
    for key in keys:
        engine.ask(key, square, key[1], 0.02)
    kills = iter((5, 15))
    next_at = next(kills)

    def kill(done: int) -> None:
        nonlocal next_at
        if done >= next_at:
            next_at = next(kills, 1000)
            scheduler, alive = engine._workers._scheduler.running.pid, engine.worker_pids
            os.kill(scheduler if victim == "scheduler" else alive[done % len(alive)], signal.SIGKILL)

    assert collect(engine, keys, kill) == {key: key[1] ** 2 for key in keys}
    assert next_at == 1000
    assert engine.notice is None
    engine.close()


def test_a_look_does_not_wait_for_the_result_of_a_worker_that_stands_still() -> None:
    """The result is there, and the only worker that has it sends nothing, as one does that has died just now."""
    engine = Engine(address="", workers=1, preload=["tests.support.work"])
    engine.ask(("warm", 0), square, 1)
    collect(engine, [("warm", 0)])
    [worker] = engine.worker_pids
    key = ("stands still", 0)
    engine.ask(key, stand_still_after, 0.3)
    deadline = time.monotonic() + SECONDS
    while psutil.Process(worker).status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert engine.take([key]) == {}
    os.kill(worker, signal.SIGCONT)
    assert collect(engine, [key]) == {key: "done"}
    engine.close()


def test_all_ports_are_on_the_loopback_interface(engine: Engine) -> None:
    processes = [psutil.Process(pid) for pid in engine.worker_pids]
    scheduler = psutil.Process(engine._workers._scheduler.running.pid)
    addresses = {
        connection.laddr.ip
        for process in (scheduler, *processes)
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


@pytest.mark.parametrize(("setting", "value"), [("", NICENESS), ("0", 0), ("15", 15)])
def test_workers_have_the_nice_value_of_the_environment_and_an_ordinary_share_of_the_processor(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: int
) -> None:
    monkeypatch.setenv("SQUEEZELAB_NICE", setting)
    engine = Engine(address="", workers=1)
    engine.ask(("warm", 0), pow, 3, 2)
    assert collect(engine, [("warm", 0)]) == {("warm", 0): 9}
    (worker,) = (psutil.Process(pid) for pid in engine.worker_pids)
    scheduler = psutil.Process(engine._workers._scheduler.running.pid)
    assert worker.nice() == max(value, scheduler.nice())
    assert scheduler.nice() == psutil.Process().nice()
    if hasattr(os, "sched_getscheduler"):  # at SCHED_IDLE, workers would stop beside any busy program
        assert os.sched_getscheduler(worker.pid) == os.SCHED_OTHER
    engine.close()


@pytest.mark.parametrize("text", ["-5", "20", "low", "1.5"])
def test_an_impossible_nice_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"SQUEEZELAB_NICE must be an integer from 0 to 19, got '{text}'"):
        niceness(text)


def test_the_command_line_computes_at_normal_priority_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SQUEEZELAB_NICE")
    assert main(["models", "--json"]) == 0
    assert niceness(os.environ["SQUEEZELAB_NICE"]) == 0
    monkeypatch.setenv("SQUEEZELAB_NICE", "7")
    assert main(["models", "--json"]) == 0
    assert niceness(os.environ["SQUEEZELAB_NICE"]) == 7


def test_workers_end_with_their_parent_even_if_it_is_killed() -> None:
    script = (
        "import time\n"
        "from compression.engine.cluster import Engine\n"
        "engine = Engine(address='', workers=1)\n"
        "while not engine.take([]) and engine._client is None: time.sleep(0.05)\n"
        "print(*engine.worker_pids, engine._workers._scheduler.running.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(children) == 2
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(children, timeout=SECONDS)
    assert not [each for each in alive if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("has_scheduler", [True, False])
def test_workers_end_even_if_their_parent_ended_before_they_had_started(has_scheduler: bool) -> None:
    script = (
        "import os\n"
        "from compression.engine.workers import Workers\n"
        "workers = Workers(1, [])\n"
        "print(*workers.pids, workers._scheduler.running.pid, flush=True)\n"
        f"{'' if has_scheduler else 'workers._scheduler.running.kill()'}\n"
        "os._exit(0)\n"
    )
    output = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.PIPE, text=True).stdout
    children = [psutil.Process(int(pid)) for pid in output.split()]
    assert len(children) == 2
    _, alive = psutil.wait_procs(children, timeout=SECONDS)
    assert not [each for each in alive if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_an_unreachable_cluster_is_reported_and_this_machine_computes() -> None:
    engine = Engine(address="tcp://127.0.0.1:9", workers=1, preload=["tests.support.work"])
    engine.ask(("instead", 0), square, 5)
    assert collect(engine, [("instead", 0)]) == {("instead", 0): 25}
    assert engine.local
    assert engine.notice.startswith("The cluster at tcp://127.0.0.1:9 cannot be reached")
    assert engine.notice.endswith("this machine works in its place.")
    engine.close()


def test_a_lost_cluster_is_reported_and_this_machine_continues() -> None:
    cluster = Workers(1, ["tests.support.work"])
    while not cluster.address:
        time.sleep(0.02)
    engine = Engine(address=cluster.address, workers=1, preload=["tests.support.work"])
    keys = [("moves", number) for number in range(20)]
    for key in keys:
        engine.ask(key, square, key[1], 0.05)
    assert not engine.local

    def end(done: int) -> None:
        if done >= 5 and not engine.local:
            cluster.close()

    assert collect(engine, keys, end) == {key: key[1] ** 2 for key in keys}
    assert "does not answer any more" in engine.notice
    engine.close()


def test_an_invalid_address_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "no address at all")
    engine = Engine(workers=1)
    engine.take([])
    assert "no address at all cannot be reached" in engine.notice
    engine.close()
