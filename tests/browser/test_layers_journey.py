"""Layer by layer in a real browser: a cell is edited, a scan is run, a link opens the same again."""

import contextlib
import re

from playwright.sync_api import Locator, Page, TimeoutError, expect

from compression.core.compress import compress
from compression.networks.bundled import load_bundled
from compression.spec import CompressionSpec, LayerSpec, QuantSpec
from tests.browser.test_journeys import SECONDS_90, metric
from tests.support.sizes import size_pattern

MODEL = "simple_cnn"
HEADER, ROW = 35, 28  # pixels of the table


def size_of(*layers: LayerSpec) -> re.Pattern[str]:
    spec = CompressionSpec(MODEL, weights=QuantSpec(4), layers=layers)
    return size_pattern(compress(load_bundled(MODEL).module, spec))


def open_cell(page: Page, row: int) -> Locator:
    """The editor of the last column. A table that is drawn anew in the meantime lets go of its cell: then once more."""
    table, editor = page.get_by_test_id("stDataFrame"), page.locator("#portal input")
    for _ in range(20):
        table.click(position={"x": table.bounding_box()["width"] - 40, "y": HEADER + (row + 0.5) * ROW})
        page.keyboard.press("Enter")
        with contextlib.suppress(TimeoutError):
            editor.wait_for(timeout=3_000)
            break
    return editor


def test_a_cell_is_edited_and_the_link_says_so(page, page_of, bare_server):
    page.goto(f"{bare_server}/layers?model={MODEL}&bits=4")
    expect(metric(page, "File size")).to_have_text(size_of())
    open_cell(page, 2).fill("95")
    page.keyboard.press("Enter")
    expect(metric(page, "File size")).to_have_text(size_of(LayerSpec("fc1", None, 0.95)))
    expect(page).to_have_url(re.compile("layers=fc1"))
    other = page_of()
    other.goto(page.url)
    expect(metric(other, "File size")).to_have_text(size_of(LayerSpec("fc1", None, 0.95)))
    page.get_by_role("button", name="Reset all layers").click()
    expect(metric(page, "File size")).to_have_text(size_of())


def test_a_scan_shows_how_far_it_is_and_bits_are_assigned_from_it(page, server, test_images):
    page.goto(f"{server}/layers?model={MODEL}&scheme=affine")
    main = page.get_by_test_id("stMainBlockContainer")
    assign = main.get_by_role("button", name="Assign")
    expect(assign).to_be_disabled()
    main.get_by_role("button", name="Scan").click()
    expect(main.get_by_text(re.compile("% scanned"))).to_be_visible(timeout=SECONDS_90)
    expect(assign).to_be_enabled(timeout=2 * SECONDS_90)
    assign.click()
    expect(metric(page, "Bits per weight")).to_have_text(re.compile(r"^[23]\.\d\d$|^4\.00$"))
    expect(page).to_have_url(re.compile("layers=conv1"))
