"""In ordinary use the server prints nothing: a line in its log means that something is wrong."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.test_journeys import SECONDS_90

MODEL = "simple_cnn"
GREETING = re.compile(
    r"^\s*$|Uvicorn server started|You can now view your Streamlit app|URL: http|Did not auto detect|for debugging"
)


def unexpected_lines(log: Path) -> list[str]:
    """All lines but those that Streamlit prints when it starts."""
    return [line for line in log.read_text(encoding="utf-8").splitlines() if not GREETING.search(line)]


def test_a_walk_through_the_pages_leaves_the_log_empty(page: Page, server: str, server_log: Path, test_images) -> None:
    page.goto(f"{server}/?model={MODEL}")
    menu = page.get_by_test_id("stSidebar")
    for name in ("Quantization", "Pruning", "Layers", "Deploy", "Networks", "Bring your own", "Trade-offs", "Explore"):
        expect(page.get_by_test_id("stApp")).to_have_attribute(
            "data-test-script-state", "notRunning", timeout=SECONDS_90
        )
        menu.get_by_role("link", name=name).click()
        expect(page).to_have_title(f"{name} · Squeezelab", timeout=SECONDS_90)
    expect(page.get_by_text(re.compile("test images classified correctly"))).to_be_visible(timeout=SECONDS_90)
    assert unexpected_lines(server_log) == []


def test_a_table_is_downloaded_without_a_line_in_the_log(page: Page, server: str, server_log: Path) -> None:
    """Streamlit computes the content outside of any session, where reading the session's state prints a warning."""
    page.goto(f"{server}/tradeoffs?model={MODEL}&view=Sweep")
    button = page.get_by_role("button", name="CSV")
    expect(button).to_be_enabled(timeout=SECONDS_90)
    with page.expect_download() as download:
        button.click()
    assert MODEL in download.value.path().read_text(encoding="utf-8")
    assert unexpected_lines(server_log) == []
