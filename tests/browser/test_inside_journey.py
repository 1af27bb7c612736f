"""What a person does on the page Inside, in a real browser."""

from playwright.sync_api import Page, expect

from compression.inside.flips import Matrix, compare, confusion
from compression.networks.bundled import load_bundled
from compression.results.landscape import read_landscape
from compression.spec import CompressionSpec, QuantSpec
from tests.browser.test_journeys import SECONDS_90, press

MODEL = "simple_cnn"
CAT, DOG = 3, 5


def counts(bits: int) -> tuple[tuple[int, ...], ...]:
    landscape = read_landscape(load_bundled(MODEL))
    before = landscape.get(CompressionSpec(MODEL))
    after = landscape.get(CompressionSpec(MODEL, weights=QuantSpec(bits)))
    assert before
    assert after
    return confusion(compare(before.evaluation, after.evaluation), Matrix.CHANGE)


def test_a_click_or_keys_open_the_images_of_a_cell_and_a_slider_keeps_the_focus(page: Page, bare_server: str) -> None:
    page.goto(f"{bare_server}/inside?model={MODEL}&bits=3")
    cell = page.locator(f".flips-matrix td[data-cell='{CAT}-{DOG}']")
    expect(cell).to_have_text(str(counts(3)[CAT][DOG]), timeout=SECONDS_90)
    expect(cell).to_have_css("cursor", "pointer")  # the table comes before the script that hears clicks
    cell.click()
    expect(page.get_by_text("Float predicts cat, compressed predicts dog")).to_be_visible()
    expect(page.get_by_text(f"{counts(3)[CAT][DOG]:,} images, those first")).to_be_visible()
    expect(cell).to_have_attribute("aria-selected", "true")
    expect(cell).to_be_focused()
    cell.press("ArrowDown")
    below = page.locator(f".flips-matrix td[data-cell='{CAT + 1}-{DOG}']")
    expect(below).to_be_focused()
    below.press("Enter")
    expect(page.get_by_text("Float predicts deer, compressed predicts dog")).to_be_visible()
    expect(below).to_be_focused()
    page.get_by_role("button", name="All images").click()
    expect(page.get_by_text("Float predicts deer, compressed predicts dog")).to_have_count(0)
    press(page, "Bits per weight", "ArrowLeft", 1)
    expect(cell).to_have_text(str(counts(4)[CAT][DOG]))
