"""What a person does with two quantizers side by side, in a real browser."""

import re

from playwright.sync_api import Locator, Page, expect

from compression.core.compress import compress
from compression.inspect.staircase import build_staircase
from compression.networks.bundled import load_bundled
from compression.results.landscape import read_landscape
from compression.spec import CompressionSpec, QuantSpec
from pages.ui import wording
from tests.browser.views import in_every_view
from tests.support.sizes import size_pattern

MODEL = "simple_cnn"
SECONDS_90 = 90_000


def values(page: Page, label: str) -> Locator:
    """The metrics of this label, left and right."""
    found = page.get_by_test_id("stMetric").filter(has=page.get_by_text(label, exact=True))
    return found.get_by_test_id("stMetricValue")


def expect_answer(page: Page, *both: QuantSpec) -> None:
    made = [compress(load_bundled(MODEL).module, CompressionSpec(MODEL, None, quant)) for quant in both]
    expect(values(page, "File size")).to_have_text([size_pattern(side) for side in made])
    stairs = [
        build_staircase(side.layers[1], 0 if len(made[0].layers[1].qparams.scale.shape) else None) for side in made
    ]
    expect(values(page, "SQNR")).to_have_text([wording.decibels(found.sqnr_db) for found in stairs])


def test_two_quantizers_are_moved_together_and_a_link_shows_the_same(page, page_of, bare_server):
    page.goto(f"{bare_server}/quantization?model={MODEL}&right_scheme=affine")
    expect_answer(page, QuantSpec(4, "symmetric", "tensor"), QuantSpec(4, "affine", "tensor"))
    expect(page.get_by_test_id("stPlotlyChart")).to_have_count(7, timeout=SECONDS_90)
    page.get_by_role("slider", name="Bits per weight, both sides").focus()
    page.keyboard.press("ArrowRight")
    expect_answer(page, QuantSpec(3, "symmetric", "tensor"), QuantSpec(3, "affine", "tensor"))
    page.get_by_text("channel", exact=True).first.click()
    expect_answer(page, QuantSpec(3, "symmetric", "channel"), QuantSpec(3, "affine", "tensor"))
    expect(page).to_have_url(re.compile("left_granularity=channel"))
    other = page_of()
    other.goto(page.url)
    expect_answer(other, QuantSpec(3, "symmetric", "channel"), QuantSpec(3, "affine", "tensor"))
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_an_output_pixel_in_integers_is_that_in_floats(page, server, test_images):
    page.goto(f"{server}/quantization?model={MODEL}&right_scheme=affine")
    expect(page.get_by_text(re.compile("equal up to rounding"))).to_have_count(2, timeout=SECONDS_90)


def test_when_both_are_counted_there_is_a_verdict(page, server, test_images):
    page.goto(f"{server}/quantization?model={MODEL}&bits=2&right_granularity=channel")
    expect(page.get_by_text(re.compile("correct on the left only.*McNemar"))).to_be_visible(timeout=2 * SECONDS_90)
    expect(values(page, "Accuracy").filter(has_text="±")).to_have_count(0)


def test_without_images_the_quantizers_are_shown_all_the_same(page, bare_server):
    page.goto(f"{bare_server}/quantization?model={MODEL}&right_scheme=affine&right_clip=kl")
    clipped = QuantSpec(4, "affine", "tensor", "kl")
    expect_answer(page, QuantSpec(4, "symmetric", "tensor"), clipped)
    beforehand = read_landscape(load_bundled(MODEL))
    left = beforehand.get(CompressionSpec(MODEL, weights=QuantSpec(4, "symmetric", "tensor"))).evaluation
    assert beforehand.get(CompressionSpec(MODEL, weights=clipped)) is None
    expect(values(page, "Accuracy")).to_have_text([wording.percent(left.accuracy, 2), "no images"])


def test_the_answer_and_the_levels_are_on_the_first_screen(page, bare_server):
    page.goto(f"{bare_server}/quantization?model={MODEL}")
    charts = page.get_by_test_id("stPlotlyChart")
    expect(charts).to_have_count(6, timeout=SECONDS_90)
    for _ in in_every_view(page):
        for part in (values(page, "Accuracy").nth(1), values(page, "SQNR").nth(1), charts.nth(0), charts.nth(2)):
            expect(part).to_be_in_viewport(ratio=0.99)
