"""What a person does on the Pruning page, in a real browser."""

import re

from playwright.sync_api import Page, expect

from compression.core.compress import compress
from compression.networks.bundled import load_bundled
from compression.spec import CompressionSpec, PruneSpec, Structure
from pages.ui import wording
from tests.browser.test_journeys import SECONDS_90, metric, press
from tests.browser.views import in_every_view
from tests.support.sizes import size_pattern

MODEL = "simple_cnn"


def test_the_two_sliders_move_the_cut_and_explore_opens_with_it(page: Page, bare_server: str) -> None:
    page.goto(f"{bare_server}/pruning?model={MODEL}&sparsity=0.5")
    expect(page.get_by_test_id("stPlotlyChart")).to_have_count(4, timeout=SECONDS_90)
    press(page, "Sparsity", "ArrowRight", 10)
    compressed = compress(load_bundled(MODEL).module, CompressionSpec(MODEL, PruneSpec(sparsity=0.6)))
    expect(metric(page, "Sparsity")).to_have_text(wording.percent(compressed.sparsity))
    threshold = min(layer.threshold for layer in compressed.layers)
    expect(page.get_by_text(f"below {threshold:.3g}")).to_be_visible()
    menu = page.get_by_test_id("stSidebar")
    expect(menu.get_by_role("link", name="Explore")).to_have_attribute("href", re.compile("sparsity=0.6"))
    menu.get_by_role("link", name="Explore").click()
    expect(page.get_by_text("How small can this network get")).to_be_visible()
    expect(metric(page, "File size")).to_have_text(size_pattern(compressed))


def test_filters_are_taken_out_for_good_and_the_next_move_asks_again(page: Page, bare_server: str) -> None:
    page.goto(f"{bare_server}/pruning?model={MODEL}&structure=filter&sparsity=0.5")
    expect(page.get_by_test_id("stPlotlyChart")).to_have_count(4, timeout=SECONDS_90)
    page.get_by_role("button", name="Remove zero filters and verify").click()
    expect(page.get_by_text("Verified: without its zero filters")).to_be_visible(timeout=SECONDS_90)
    expect(metric(page, "MACs per image")).to_have_text(metric(page, "Multiply-accumulates").inner_text())
    press(page, "Sparsity", "ArrowRight", 1)
    spec = CompressionSpec(MODEL, PruneSpec(sparsity=0.51, structure=Structure.FILTER))
    compressed = compress(load_bundled(MODEL).module, spec)
    expect(metric(page, "Sparsity")).to_have_text(wording.percent(compressed.sparsity))
    expect(page.get_by_text("Verified: without its zero filters")).to_have_count(0)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_curve_slider_and_mosaic_are_on_one_screen(page: Page, bare_server: str) -> None:
    page.goto(f"{bare_server}/pruning?model={MODEL}")
    for _ in in_every_view(page):
        for place in (0, 1):
            expect(page.get_by_test_id("stPlotlyChart").nth(place)).to_be_in_viewport(ratio=0.95, timeout=SECONDS_90)
        expect(page.get_by_test_id("stSlider").first).to_be_in_viewport()
        expect(metric(page, "Sparsity")).to_be_in_viewport()


def test_it_works_without_any_images(page: Page, bare_server: str) -> None:
    page.goto(f"{bare_server}/pruning?model={MODEL}&criterion=taylor")
    expect(page.get_by_text("This needs training images")).to_be_visible(timeout=SECONDS_90)
    page.goto(f"{bare_server}/pruning?model={MODEL}&rival=taylor")
    expect(page.get_by_test_id("stPlotlyChart")).to_have_count(3, timeout=SECONDS_90)
    expect(page.get_by_text("This needs training images")).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)
