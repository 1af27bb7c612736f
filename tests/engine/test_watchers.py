"""What nobody watches any more is told, by whoever looks next."""

import pytest

from compression.engine.watchers import ACTIVE_SECONDS, FORGET_SECONDS, Watchers


def test_look_returns_what_nobody_watches_any_more() -> None:
    watchers: Watchers[str] = Watchers()
    assert watchers.look("one", "first", stays=True) == []
    assert watchers.look("two", "first", stays=True) == []
    assert watchers.look("one", "second", stays=True) == []
    assert watchers.look("two", "second", stays=True) == ["first"]
    assert watchers.watches("two", "second")
    assert watchers.look("two", "second", stays=False) == []
    assert watchers.look("one", "second", stays=False) == ["second"]
    assert not watchers.watches("one", "second")


def test_a_watcher_that_has_not_looked_for_long_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    watchers: Watchers[str] = Watchers()
    watchers.look("gone", "first", stays=True)
    assert watchers.active == 1
    now = ACTIVE_SECONDS + 1.0
    assert watchers.active == 0
    now = FORGET_SECONDS + 1.0
    assert watchers.look("here", "second", stays=True) == ["first"]
    assert watchers.active == 1
    assert watchers.forget() == []
    now += FORGET_SECONDS + 1.0
    assert watchers.forget() == ["second"]
