"""What the tests of all pages share."""

import time
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest, app_test

from compression.engine.cluster import Engine
from compression.engine.evaluator import Evaluator
from compression.engine.recoverer import Recoverer, RecoveryReading

PATIENCE_SECONDS = 300.0
PAUSE_SECONDS = 0.3  # pages are drawn on the cores that count


@pytest.fixture(scope="session", autouse=True)
def packages_searched_once() -> Iterator[None]:
    """Lets AppTest search the installed packages for components once, as a server does when it starts.

    Otherwise each run of a page does, which takes five times as long as the page.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(autouse=True)
def known_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a run of fragments alone, AppTest knows the pages that the whole script knew, as a server does."""
    managers: dict[str, PagesManager] = {}
    remember = lambda path, cache, **_: managers.setdefault(path, PagesManager(path, cache))
    monkeypatch.setattr(app_test, "PagesManager", remember)


@pytest.fixture(autouse=True)
def workers_on_request(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps pages from using the engine's workers, unless the test asks for them with the fixture `here`.

    Every page that is opened begins to count images. A test that does not wait for the count needs none of it, and the
    workers would go on counting beside the tests that follow. The evaluator, which all tests of a process share, notes
    no task that nobody does, or the next test would wait for it.
    """
    if "here" not in request.fixturenames:
        monkeypatch.setattr(Evaluator, "_ask", lambda *_: None)
        monkeypatch.setattr(Engine, "ask", lambda *_, **__: None)
        monkeypatch.setattr(Engine, "take", lambda *_: {})


@pytest.fixture(autouse=True)
def nothing_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps pages from recovering networks, which would go on in a thread beside the tests that follow."""
    monkeypatch.setattr(Recoverer, "look", lambda *_: RecoveryReading(1, 4, 2.0))


def until(page: AppTest, condition: Callable[[], bool]) -> None:
    """Runs the page again and again until the condition holds."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(PAUSE_SECONDS)
        page.run()
        assert not page.exception
