"""A real server and a real browser. Without Chromium the journeys are skipped, except in CI, where they must run."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, ViewportSize, expect

from compression.paths import PROJECT
from tests.support.serving import browsing, chromium, serving

expect.set_options(timeout=60_000)  # a machine with much to do is slow, not wrong

SCREEN: ViewportSize = {"width": 1280, "height": 800}


@pytest.fixture(scope="session")
def server_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that receives what the server prints."""
    return tmp_path_factory.mktemp("server") / "log.txt"


@pytest.fixture(scope="session")
def server(server_log: Path) -> Iterator[str]:
    with serving(PROJECT, log=server_log) as server:
        yield server.url


@pytest.fixture(scope="session")
def bare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A copy of the app alone: no CIFAR-10 in any place, and a network that refuses every connection."""
    folder = tmp_path_factory.mktemp("bare") / "lab"
    for name in ("app.py", "squeezelab.py", "pages", "compression", ".streamlit"):
        source = PROJECT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, _made(folder) / name)
    hidden = {name: value for name, value in os.environ.items() if name != "CIFAR10_ROOT"}
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    nowhere |= {"no_proxy": "", "NO_PROXY": ""}
    with serving(folder, hidden | nowhere) as server:
        yield server.url


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = chromium()
    if not executable:
        if os.environ.get("CI"):
            pytest.fail("CI must have chromium")
        pytest.skip("the journeys need Debian's chromium, and there is none")
    with browsing(executable) as browser:
        yield browser


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One context for all pages. To Streamlit each visit of a tab is a person of its own.

    Without a graphics processor, moving placeholders and spinners take a third of the browser's time.
    """
    context = browser.new_context(
        viewport=SCREEN, permissions=["clipboard-read", "clipboard-write"], reduced_motion="reduce"
    )
    context.set_default_timeout(60_000)
    yield context
    context.close()


@pytest.fixture(scope="session")
def idle_tabs() -> list[Page]:
    """Tabs that no test uses now. In a new tab, the scripts of Streamlit and Plotly would be compiled again."""
    return []


@pytest.fixture
def page_of(context: BrowserContext, idle_tabs: list[Page]) -> Iterator[Callable[[], Page]]:
    """Opens tabs, each a person of its own, as if they were new.

    Each comes to the front: chromium draws a tab behind another one once a second, for which every click would wait.
    """
    pages = []

    def open_page() -> Page:
        pages.append(idle_tabs.pop() if idle_tabs else context.new_page())
        pages[-1].bring_to_front()
        return pages[-1]

    yield open_page
    for page in pages:
        try:
            page.evaluate("sessionStorage.clear()")
            page.goto("about:blank")
            page.emulate_media(color_scheme="light")
            page.set_viewport_size(SCREEN)
        except Error:
            page.close()
        else:
            idle_tabs.append(page)


@pytest.fixture
def page(page_of: Callable[[], Page]) -> Page:
    return page_of()
