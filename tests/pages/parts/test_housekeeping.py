"""Memory is given back when sessions have ended or workers rest, and not otherwise."""

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from compression.engine import cluster
from pages.ui.frame import housekeeping


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The event loop of a server, on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def server_with(loop: asyncio.AbstractEventLoop, *counts: int) -> SimpleNamespace:
    """A server that says one of `counts` each time that it is asked for its sessions, on its own thread."""
    left, threads = list(counts), set()

    def list_sessions() -> list[None]:
        threads.add(threading.current_thread())
        return [None] * left.pop(0)

    objects = SimpleNamespace(eventloop=loop)
    manager = SimpleNamespace(list_sessions=list_sessions)
    return SimpleNamespace(_session_mgr=manager, _get_async_objs=lambda: objects, threads=threads)


@pytest.mark.parametrize(
    ("counts", "rests", "times"),
    [((3, 3), False, 0), ((3, 1), False, 1), ((3, 3), True, 1), ((1, 2), False, 0)],
    ids=["nothing ended", "two sessions ended", "workers rest", "a session has begun"],
)
def test_memory_is_given_back_when_something_has_ended(
    loop: asyncio.AbstractEventLoop,
    monkeypatch: pytest.MonkeyPatch,
    counts: tuple[int, int],
    rests: bool,
    times: int,
) -> None:
    given = []
    monkeypatch.setattr(housekeeping, "give_memory_back", lambda: given.append(1))
    monkeypatch.setattr(cluster.Engine, "rest", lambda self, seconds: rests)
    server = server_with(loop, *counts)
    housekeeping.tidy(server)
    assert len(given) == times
    assert threading.current_thread() not in server.threads


def test_another_streamlit_without_such_a_list_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.Engine, "rest", lambda self, seconds: False)
    monkeypatch.setattr(housekeeping, "give_memory_back", lambda: pytest.fail("nothing has ended"))
    housekeeping.tidy(SimpleNamespace())


def test_outside_of_a_server_no_thread_is_started() -> None:
    housekeeping.start.cache_clear()
    assert housekeeping.start() is None
