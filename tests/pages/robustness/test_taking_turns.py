"""The page Activity and the pages that start long jobs: what waits says what it waits for."""

from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from compression.engine.jobs import JobKind
from compression.paths import PROJECT
from pages.ui.compute import jobs


@pytest.fixture(autouse=True)
def own_queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(jobs, "session_name", lambda: "me")
    jobs._jobs.clear()
    yield
    jobs._jobs.clear()


def page_at(path: str) -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=60)
    page.query_params["model"] = "simple_cnn"
    page.run().switch_page(f"pages/{path}.py").run()
    jobs._jobs.clear()
    return page


def captions(page: AppTest) -> list[str]:
    return [each.value for each in page.caption]


def test_an_idle_server_says_so() -> None:
    page = page_at("activity").run()
    assert not page.exception
    assert "No session asks for anything that takes long." in captions(page)


def test_the_jobs_of_all_sessions_are_shown_without_names() -> None:
    page = page_at("activity")
    queue = jobs._jobs()
    queue.look("secret one", JobKind.SEARCH, 0.25)
    queue.look("secret one", JobKind.SCAN)
    queue.look("secret two", JobKind.COUNT)
    page.run()
    assert not page.exception
    assert "2 sessions with 3 jobs." in captions(page)
    table = page.table[0].value
    assert table["Job"].tolist() == ["Search", "Scan of layers", "Count of images"]
    assert table["Session"].tolist() == ["1", "1", "2"]
    assert table["State"].tolist() == ["Running", "1 job is before this one", "Running"]
    assert not table.astype(str).stack().str.contains("secret").any()


def test_a_scan_waits_for_the_sweep_of_its_session_and_says_so(test_images: object) -> None:
    page = page_at("layers")
    jobs._jobs().look("me", JobKind.SWEEP)
    page.button(key="scan start").click().run()
    assert not page.exception
    assert any("1 job is before this one" in each.proto.text for each in page.get("progress"))
    page.button(key="scan stop").click().run()
    assert [entry.kind for entry in jobs.queue() if entry.kind is JobKind.SCAN] == []
