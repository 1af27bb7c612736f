"""Sessions compute one after the other, and never wait for each other for ever."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from compression.spec import CompressionSpec, QuantSpec
from pages.ui.compute import caching
from pages.ui.compute.caching import shared


def test_computations_do_not_overlap() -> None:
    running, most = [], []

    @shared(100, quick=True)
    def compute(name: str) -> str:
        running.append(name)
        most.append(len(running))
        time.sleep(0.01)
        running.remove(name)
        return name.upper()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(compute, "abcdefgh")) == list("ABCDEFGH")
    assert max(most) == 1


def test_one_that_needs_what_another_session_computes_lets_it_compute() -> None:
    """Both hold a lock of the cache that the other one needs, if none lets go of its turn."""
    begun = threading.Barrier(2, timeout=10)

    @shared(100, quick=True)
    def inner(name: str) -> str:
        time.sleep(0.05)
        return name.upper()

    @shared(100, quick=True)
    def outer(name: str, number: int) -> str:
        time.sleep(0.02)
        return inner(name)

    def look(number: int) -> str:
        begun.wait()
        return inner("a") if number else outer("a", number)

    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(look, range(2))) == ["A", "A"]
    assert time.monotonic() - began < caching.MOST_WAIT_SECONDS


def test_nobody_waits_for_a_turn_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "MOST_WAIT_SECONDS", 0.05)
    end = threading.Event()

    @shared(100, quick=True)
    def compute(name: str) -> str:
        if name == "slow":
            end.wait(10)
        return name

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(compute, "slow")
        assert compute("quick") == "quick"
        assert not slow.done()
        end.set()
        assert slow.result() == "slow"
    assert compute("next") == "next"


def test_what_takes_seconds_waits_for_nobody() -> None:
    slow = CompressionSpec("m", weights=QuantSpec(4), correct_bias=True)
    begun = threading.Barrier(3, timeout=10)

    @shared(100)
    def long(number: int) -> int:
        begun.wait()
        return number

    @shared(100, quick=True)
    def compute(spec: CompressionSpec) -> bool:
        begun.wait()
        return spec.recovers

    with ThreadPoolExecutor(3) as pool:
        results = [pool.submit(long, 1), pool.submit(long, 2), pool.submit(compute, slow)]
        assert [each.result() for each in results] == [1, 2, True]


def test_a_computation_that_fails_ends_its_turn() -> None:
    @shared(100, quick=True)
    def compute(name: str) -> str:
        raise ValueError(name)

    with pytest.raises(ValueError, match="bad"):
        compute("bad")
    assert caching._turn.acquire(timeout=1)
    caching._turn.release()
