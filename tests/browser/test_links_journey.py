"""The address says all settings on every page, whichever way the reader comes: by the menu, by a link, or by Back."""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, expect

from compression.core.compress import compress
from compression.networks.bundled import load_bundled
from compression.spec import CompressionSpec, LayerSpec, QuantSpec
from pages.ui.frame.frame import MENU
from pages.ui.state import link
from tests.browser.test_journeys import metric, press
from tests.pages.test_state import CHANGED
from tests.support.sizes import size_pattern

PATHS = ["" if entry[0] == "app.py" else entry[0].removeprefix("pages/").removesuffix(".py") for entry in MENU]
LABELS = {path: entry[1] for path, entry in zip(PATHS, MENU, strict=True)}
MOST_ENTRIES = 50  # of the history of a tab of chromium


def expect_all(page: Page, path: str) -> None:
    """The page of `path` is drawn, and its address says all settings."""
    expect(page).to_have_title(f"{LABELS[path]} · Squeezelab")
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    address = urlsplit(page.url)
    assert (address.path.strip("/"), dict(parse_qsl(address.query, keep_blank_values=True))) == (
        path,
        link.parameters(CHANGED),
    )


def test_every_setting_survives_clicks_in_the_menu_and_every_press_of_back(page, bare_server):
    """Once around the menu and back. From each page to each other they are followed in tests/pages/test_state.py."""
    way = [*PATHS, PATHS[0]]
    page.goto(f"{bare_server}/{way[0]}?{urlencode(link.parameters(CHANGED))}")
    expect_all(page, way[0])
    folded = page.get_by_test_id("stExpandSidebarButton")  # in a presentation, unless somebody had opened the menu
    if folded.is_visible():
        folded.click()
    menu, entries = page.get_by_test_id("stSidebar"), page.evaluate("history.length")
    for path in way[1:]:
        menu.get_by_role("link", name=LABELS[path], exact=True).click()
        expect_all(page, path)
        entries = min(entries + 1, MOST_ENTRIES)
        assert page.evaluate("history.length") == entries
    for path in way[-2::-1]:
        page.go_back()
        expect_all(page, path)


def test_a_setting_of_a_link_waits_for_a_slider_that_a_slow_network_brings_late(page, bare_server):
    held = []
    page.route("**/Slider.*.js", lambda route: held.append(route))
    page.goto(f"{bare_server}/?model=simple_cnn&bits=3")
    undo = page.get_by_role("button", name="Undo")
    page.get_by_text("Presentation", exact=True).click()  # and the page runs again, before it has a slider
    expect(undo).to_be_enabled()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    assert held
    for route in held:
        route.continue_()
    page.unroute("**/Slider.*.js")
    expect(page.get_by_test_id("stSliderThumbValue").first).to_have_text("3")
    press(page, "Bits per weight", "ArrowLeft", 1)
    expect(page).to_have_url(re.compile(r"bits=4&|bits=4$"))


@pytest.mark.parametrize("path", PATHS, ids=[path or "explore" for path in PATHS])
def test_a_link_with_every_setting_opens_in_a_fresh_browser(page, bare_server, path):
    page.goto(f"{bare_server}/{path}?{urlencode(link.parameters(CHANGED))}")
    expect_all(page, path)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_test_id("stToast")).to_have_count(0)


def test_one_press_of_back_undoes_one_step_and_undo_does_too(page, bare_server):
    page.goto(f"{bare_server}/?model=simple_cnn")
    expect(metric(page, "Sparsity")).to_be_visible()
    before = [CompressionSpec("simple_cnn"), CompressionSpec("simple_cnn", weights=QuantSpec(16))]
    sizes = [size_pattern(compress(load_bundled("simple_cnn").module, spec)) for spec in before]
    for size, bits in zip(sizes, ("16", "8"), strict=True):
        expect(metric(page, "File size")).to_have_text(size)
        press(page, "Bits per weight", "ArrowRight", 1)
        expect(page).to_have_url(re.compile(f"bits={bits}$"))
        page.wait_for_timeout(1_100)  # presses that follow each other faster are one step
    page.go_back()
    expect(metric(page, "File size")).to_have_text(sizes[1])
    page.go_back()
    expect(metric(page, "File size")).to_have_text(sizes[0])
    page.get_by_role("button", name="Redo").click()
    expect(metric(page, "File size")).to_have_text(sizes[1])
    page.get_by_role("button", name="Undo").click()
    expect(metric(page, "File size")).to_have_text(sizes[0])


def test_settings_of_layers_are_deployed_and_shown_on_every_page(page, bare_server):
    own = (LayerSpec("conv1", 8), LayerSpec("fc1", 2, 0.5))
    spec = CompressionSpec("simple_cnn", weights=QuantSpec(4), layers=own)
    size = size_pattern(compress(load_bundled("simple_cnn").module, spec))
    page.goto(f"{bare_server}/?model=simple_cnn&bits=4&layers=conv1:8,fc1:2/0.5")
    for label in ("Explore", "Layers", "Deploy"):
        page.get_by_test_id("stSidebar").get_by_role("link", name=label, exact=True).click()
        expect(page).to_have_title(f"{label} · Squeezelab")
        expect(metric(page, "File size")).to_have_text(size)
    expect(page.get_by_text("2 layers have own settings")).to_be_visible()


def test_the_link_is_copied(page, bare_server):
    page.goto(f"{bare_server}/?{urlencode({'model': 'simple_cnn', 'bits': '4'})}")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
