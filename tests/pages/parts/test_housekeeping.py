"""Memory is given back when sessions have ended or workers rest, and not otherwise."""

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from streamlit.runtime.caching.ttl_cache import TTLCache

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


def server_with(
    loop: asyncio.AbstractEventLoop, ages: tuple[float, ...]
) -> tuple[SimpleNamespace, TTLCache[int, None]]:
    """A server with sessions whose tabs were closed so many seconds ago, and its cache of them."""
    now = 0.0
    closed: TTLCache[int, None] = TTLCache(maxsize=9, ttl=120, timer=lambda: now)
    for number, age in enumerate(sorted(ages, reverse=True)):
        now = 1000 - age
        closed[number] = None
    now = 1000.0
    manager = SimpleNamespace(_session_storage=SimpleNamespace(_cache=closed))
    return SimpleNamespace(_session_mgr=manager, _get_async_objs=lambda: SimpleNamespace(eventloop=loop)), closed


@pytest.mark.parametrize(
    ("ages", "rests", "times"),
    [((5, 100), False, 0), ((130, 200), False, 1), ((), True, 1), ((), False, 0)],
    ids=["two tabs closed just now", "two closed long ago", "workers rest", "nothing"],
)
def test_memory_is_given_back_when_something_has_ended(
    loop: asyncio.AbstractEventLoop,
    monkeypatch: pytest.MonkeyPatch,
    ages: tuple[float, ...],
    rests: bool,
    times: int,
) -> None:
    given = []
    monkeypatch.setattr(housekeeping, "give_memory_back", lambda: given.append(1))
    monkeypatch.setattr(cluster.Engine, "rest", lambda self, seconds: rests)
    server, closed = server_with(loop, ages)
    housekeeping.tidy(server)
    assert len(given) == times
    assert len(closed._data) == sum(age < 120 for age in ages)


def test_another_streamlit_without_such_a_list_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.Engine, "rest", lambda self, seconds: False)
    monkeypatch.setattr(housekeeping, "give_memory_back", lambda: pytest.fail("nothing has ended"))
    housekeeping.tidy(SimpleNamespace())


def test_workers_are_started_first_and_an_error_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def fail(_: object) -> None:
        done.append("tidy")
        if len(done) == 3:
            raise SystemExit
        raise RuntimeError("a full disk")

    monkeypatch.setattr(housekeeping, "WARM_UP_SECONDS", 0)
    monkeypatch.setattr(housekeeping, "EVERY_SECONDS", 0)
    monkeypatch.setattr(cluster.Engine, "tend", lambda self: done.append("tend"))
    monkeypatch.setattr(housekeeping, "tidy", fail)
    with pytest.raises(SystemExit):
        housekeeping._keep_house(SimpleNamespace())
    assert done == ["tend", "tidy", "tidy"]
    assert "tries again later" in caplog.text
    assert "a full disk" in caplog.text


def test_outside_of_a_server_no_thread_is_started() -> None:
    housekeeping.start.cache_clear()
    assert housekeeping.start() is None
