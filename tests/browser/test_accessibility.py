"""What axe finds on every page in both themes, the smallest text in charts, and the page on a phone."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from pages.ui import wording
from pages.ui.accuracy.panel import LEAST_HALF_WIDTH
from pages.ui.state.link import SECTIONS
from tests.browser.test_links_journey import PATHS

LINK = "model=resnet20&bits=4&sparsity=0.5"
MAIN = "[data-testid=stMain]"
SMALLEST_PIXELS = 12
LARGE_PIXELS, LARGEST_PIXELS = 16, 20  # of text in charts and of numbers, in a presentation
# Streamlit's own upload area has a role and a label that exclude each other. Nothing of it is hidden from anybody.
NOT_OURS = {"presentation-role-conflict"}
VIOLATIONS = {"resultTypes": ["violations"]}  # all of them; describing what is right takes half of the time
OF_COLOURS = VIOLATIONS | {"runOnly": ["color-contrast", "link-in-text-block"]}  # themes differ in nothing else
SMALL_TEXT = """[...document.querySelectorAll('.js-plotly-plot text')]
    .map(text => [parseFloat(getComputedStyle(text).fontSize), text.textContent.trim()])
    .filter(([pixels, text]) => text && pixels < %d)"""


@pytest.mark.parametrize("path", PATHS, ids=[path or "explore" for path in PATHS])
def test_axe_finds_nothing_and_charts_can_be_read_from_afar(page: Page, bare_server: str, path: str) -> None:
    page.goto(f"{bare_server}/{path}?{LINK}")
    expect(page.get_by_role("link", name="What the numbers mean")).to_be_visible()
    assert violations_in_both_themes(page) == []
    assert page.evaluate(SMALL_TEXT % SMALLEST_PIXELS) == []


@pytest.mark.parametrize("section", SECTIONS[1:])  # the first one is what the page opens with
def test_axe_finds_nothing_in_the_sections_of_inside(page: Page, server: str, section: str) -> None:
    page.goto(f"{server}/inside?{LINK}&section={section}")
    expect(page.get_by_role("radio", name=section, exact=True)).to_be_checked()
    assert violations_in_both_themes(page, MAIN) == []
    assert page.evaluate(SMALL_TEXT % SMALLEST_PIXELS) == []


def violations_in_both_themes(page: Page, part: str | None = None) -> list[tuple[str, str]]:
    """Returns the rules that elements of the page, or of a part of it, break, with their HTML."""
    broken = []
    for theme, options in (("light", VIOLATIONS), ("dark", OF_COLOURS)):
        page.emulate_media(color_scheme=theme)
        expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
        page.wait_for_timeout(500)  # colours fade from one theme to the other
        found = Axe().run(page, part, options).response["violations"]
        broken += [(each["id"], node["html"]) for each in found if each["id"] not in NOT_OURS for node in each["nodes"]]
    return broken


@pytest.mark.parametrize("mode", ["", "&present=true"])
def test_the_longest_accuracy_fits_into_its_tile(page: Page, bare_server: str, mode: str) -> None:
    page.goto(f"{bare_server}/?{LINK}{mode}")
    accuracy = page.get_by_test_id("stMetric").filter(has_text="Accuracy").get_by_test_id("stMetricValue").first
    expect(accuracy).to_have_text(re.compile("%"))
    estimates = wording.plus_minus(0.9077, LEAST_HALF_WIDTH), wording.plus_minus(0.9077, 0.02)
    for words in (*estimates, wording.short_interval(0.9077, 0.9177)):
        hidden = accuracy.evaluate(
            """(value, words) => {
                const inner = [...value.querySelectorAll("*")].find((each) => !each.children.length) ?? value;
                inner.textContent = words;
                const cut = [value, ...value.querySelectorAll("*")].map((each) => each.scrollWidth - each.clientWidth);
                return Math.max(...cut);
            }""",
            words,
        )
        assert hidden <= 0, words
    words = "[class*=st-key-answer] :is([data-testid=stMetricLabel], [data-testid=stMetricDelta]) *"
    cut = "(all) => all.filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.textContent)"
    assert page.locator(words).evaluate_all(cut) == []


@pytest.mark.parametrize(
    ("path", "charts", "sliders"),
    [
        ("", 2, ["Bits per weight", "Sparsity"]),
        ("layers", 0, ["Sparsity"]),
        ("quantization", 4, ["Bits per weight, both sides"]),
        ("pruning", 2, ["Sparsity"]),
        ("deploy", 0, ["Sparsity"]),
        ("recover", 0, ["Sparsity"]),
    ],
)
def test_on_a_phone_every_slider_shares_the_screen_with_the_answer(
    page: Page, bare_server: str, path: str, charts: int, sliders: list[str]
) -> None:
    page.set_viewport_size({"width": 420, "height": 800})
    page.goto(f"{bare_server}/{path}?{LINK}")
    expect(page.get_by_test_id("stMetricValue").nth(2)).to_be_visible()
    if charts:
        expect(page.get_by_test_id("stPlotlyChart").nth(charts - 1)).to_be_attached()
    for name in sliders:
        slider = page.get_by_role("slider", name=name)
        slider.focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_test_id("stSlider").filter(has=slider)).to_be_in_viewport()
        numbers = page.locator("[class*=st-key-answer] [data-testid=stMetricValue]").all()
        assert len(numbers) >= 3
        for number in numbers:
            expect(number).to_be_in_viewport()


@pytest.mark.parametrize("path", ["", "quantization", "pruning", "tradeoffs"])
def test_in_a_presentation_text_is_large(page: Page, bare_server: str, path: str) -> None:
    page.goto(f"{bare_server}/{path}?{LINK}&present=true")
    expect(page.get_by_test_id("stPlotlyChart").first.locator("text").first).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    page.wait_for_timeout(500)
    assert page.evaluate(SMALL_TEXT % LARGE_PIXELS) == []
    for number in page.get_by_test_id("stMetricValue").all():
        assert float(number.evaluate("each => parseFloat(getComputedStyle(each).fontSize)")) >= LARGEST_PIXELS


def test_a_presentation_folds_the_menu_and_ends_with_its_switch(page: Page, bare_server: str) -> None:
    page.goto(f"{bare_server}/?{LINK}")
    page.evaluate("localStorage.clear()")  # where Streamlit keeps whether the reader has folded the menu
    page.goto(f"{bare_server}/?{LINK}&present=true")
    expect(page.get_by_test_id("stSidebar")).to_have_attribute("data-collapsed", "true")
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_text("Presentation", exact=True).click()
    expect(page).not_to_have_url(re.compile("present"))
    expect(page.locator("html")).to_have_css("font-size", "15px")
