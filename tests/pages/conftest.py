"""What the tests of all pages share."""

import pytest
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import app_test


@pytest.fixture(autouse=True)
def known_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a run of fragments alone, AppTest knows the pages that the whole script knew, as a server does."""
    managers: dict[str, PagesManager] = {}
    remember = lambda path, cache, **_: managers.setdefault(path, PagesManager(path, cache))
    monkeypatch.setattr(app_test, "PagesManager", remember)
