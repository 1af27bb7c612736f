"""What a person does with the pages, in a real browser."""

import re
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from compression.core.compress import compress
from compression.evaluation.evaluation import evaluate
from compression.networks.bundled import load_bundled
from compression.results.landscape import read_landscape
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from pages.ui import wording
from tests.browser.views import in_every_view
from tests.support.sizes import size_pattern

MODEL = "simple_cnn"
LARGE = "vgg"  # slow enough that one can move on while it is evaluated
MEASURED = PruneSpec(sparsity=0.3)  # of the bits of the grid it was measured beforehand, of 7 it was not
UNMEASURED = PruneSpec(sparsity=0.25)  # of no bits was it measured beforehand
SECONDS_90 = 90_000


def metric(page: Page, label: str) -> Locator:
    return (
        page.get_by_test_id("stMetric").filter(has=page.get_by_text(label, exact=True)).get_by_test_id("stMetricValue")
    )


def stop_button(page: Page) -> Locator:
    return page.get_by_test_id("stMainBlockContainer").get_by_role("button", name="Stop")


def press(page: Page, slider: str, key: str, times: int) -> None:
    page.get_by_role("slider", name=slider).focus()
    for _ in range(times):
        page.keyboard.press(key)


def test_moving_the_sliders_shows_what_compression_computes(page, bare_server):
    page.goto(f"{bare_server}/?model={MODEL}&sparsity=0.37")
    press(page, "Bits per weight", "ArrowRight", 6)
    press(page, "Sparsity", "ArrowRight", 3)
    spec = CompressionSpec(MODEL, PruneSpec(sparsity=0.4), QuantSpec(4))
    compressed = compress(load_bundled(MODEL).module, spec)
    expect(metric(page, "File size")).to_have_text(size_pattern(compressed))
    expect(metric(page, "Sparsity")).to_have_text(wording.percent(compressed.sparsity))


def test_accuracy_is_an_estimate_that_becomes_what_compression_counts(page, server, test_images):
    page.goto(f"{server}/?model={MODEL}&bits=3&sparsity={UNMEASURED.sparsity}")
    expect(metric(page, "Accuracy")).to_contain_text("±", timeout=SECONDS_90)
    model = load_bundled(MODEL)
    compressed = compress(model.module, CompressionSpec(MODEL, UNMEASURED, QuantSpec(3)))
    found = evaluate(compressed.module, test_images, model.normalization)
    expect(page.get_by_text(f"{found.correct:,} of 10,000 test images classified correctly")).to_be_visible(
        timeout=SECONDS_90
    )
    expect(metric(page, "Accuracy")).to_have_text(wording.percent(found.accuracy, 2))
    expect(page.get_by_text("a significant drop")).to_be_visible()
    expect(stop_button(page)).to_have_count(0)


def test_what_somebody_has_counted_is_there_at_once_for_somebody_else(page, page_of, server, test_images):
    page.goto(f"{server}/?model={MODEL}&bits=4&sparsity={UNMEASURED.sparsity}")
    exact = page.get_by_text(re.compile("^[0-9],[0-9]{3} of 10,000 test images classified correctly"))
    expect(exact).to_be_visible(timeout=SECONDS_90)
    other = page_of()
    other.goto(page.url)
    expect(metric(other, "Accuracy")).not_to_be_empty()
    assert "±" not in metric(other, "Accuracy").inner_text()
    expect(metric(other, "Accuracy")).to_have_text(metric(page, "Accuracy").inner_text())


def test_a_slider_moves_while_images_are_counted(page, server, test_images):
    page.goto(f"{server}/?model={LARGE}&bits=5&sparsity={UNMEASURED.sparsity}")
    expect(stop_button(page)).to_be_visible(timeout=SECONDS_90)
    press(page, "Bits per weight", "ArrowRight", 1)
    compressed = compress(load_bundled(LARGE).module, CompressionSpec(LARGE, UNMEASURED, QuantSpec(4)))
    expect(metric(page, "File size")).to_have_text(size_pattern(compressed))
    expect(page.get_by_text(re.compile("^Estimated from [0-9,]+ of 10,000 images"))).to_be_visible(timeout=SECONDS_90)


def test_an_accuracy_is_dimmed_as_soon_as_the_settings_change(page, server, test_images):
    """When the sparsity is that of the new settings, the accuracy is too, or it is dimmed."""
    page.goto(f"{server}/?model={LARGE}")
    expect(metric(page, "Accuracy")).to_have_text(re.compile(r"^\d\d\.\d\d"), timeout=SECONDS_90)
    expect(metric(page, "Sparsity")).to_have_text(re.compile("%$"))
    page.evaluate(
        """() => {
            const tile = name => [...document.querySelectorAll('[data-testid=stMetric]')]
                .find(each => each.querySelector('[data-testid=stMetricLabel]').textContent.includes(name))
            const value = name => tile(name).querySelector('[data-testid=stMetricValue]').textContent
            const [accuracy, sparsity] = [value('Accuracy'), value('Sparsity')]
            new MutationObserver(() => {
                if (window.valid === undefined && value('Sparsity') !== sparsity)
                    window.valid = value('Accuracy') === accuracy
                        && tile('Accuracy').closest('[data-stale]').dataset.stale === 'false'
            }).observe(document.body, {subtree: true, childList: true, characterData: true})
        }"""
    )
    press(page, "Sparsity", "ArrowRight", 9)
    page.wait_for_function("window.valid !== undefined", timeout=SECONDS_90)
    assert not page.evaluate("window.valid")


def test_counting_can_be_stopped_and_goes_on_where_it_was(page, server, test_images):
    page.goto(f"{server}/?model={LARGE}&bits=7&sparsity={UNMEASURED.sparsity}")
    expect(metric(page, "Accuracy")).to_contain_text("±", timeout=SECONDS_90)
    stop_button(page).click()
    stopped = page.get_by_text(re.compile("^Estimated from [0-9,]+ of 10,000 images, stopped$"))
    expect(stopped).to_be_visible()
    words = stopped.inner_text()
    page.wait_for_timeout(1_500)
    expect(stopped).to_have_text(words)
    page.get_by_role("button", name="Resume").click()
    expect(stop_button(page)).to_be_visible()
    expect(stopped).to_have_count(0)


def test_a_move_draws_the_answer_and_the_links_of_the_menu_and_nothing_else(page, server, test_images):
    drawn = []
    listen = lambda socket: socket.on("framereceived", lambda data: drawn.append(ForwardMsg.FromString(data)))
    page.once("websocket", listen)
    # While nothing is counted: a timer that fires between a move and its message would have it answered twice.
    page.goto(f"{server}/?model={LARGE}&bits=8&sparsity={MEASURED.sparsity}")
    expect(page.get_by_text("Measured beforehand")).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    drawn.clear()
    press(page, "Bits per weight", "ArrowRight", 1)
    compressed = compress(load_bundled(LARGE).module, CompressionSpec(LARGE, MEASURED, QuantSpec(7)))
    expect(metric(page, "File size")).to_have_text(size_pattern(compressed))
    expect(page.get_by_test_id("stPageLink").first.get_by_role("link")).to_have_attribute("href", re.compile("bits=7"))
    expect(metric(page, "Accuracy")).to_contain_text("±", timeout=SECONDS_90)
    deltas = [message.delta for message in drawn if message.WhichOneof("type") == "delta"]
    assert deltas
    assert all(delta.fragment_id for delta in deltas)


def test_a_move_before_the_page_is_whole_begins_the_page_again(page, bare_server):
    page.goto(f"{bare_server}/?model={LARGE}&bits=8")
    page.get_by_role("slider", name="Bits per weight").wait_for()
    press(page, "Bits per weight", "ArrowRight", 2)
    compressed = compress(load_bundled(LARGE).module, CompressionSpec(LARGE, weights=QuantSpec(6)))
    expect(metric(page, "File size")).to_have_text(size_pattern(compressed))
    expect(page.get_by_test_id("stPlotlyChart")).to_have_count(2, timeout=SECONDS_90)
    expect(page.get_by_label("Weights shown")).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_what_was_moved_goes_along_to_another_page_and_back(page, bare_server):
    page.goto(f"{bare_server}/?model={MODEL}&bits=8&sparsity=0.27")
    expect(metric(page, "File size")).to_be_visible()
    press(page, "Bits per weight", "ArrowRight", 3)
    press(page, "Sparsity", "ArrowRight", 3)
    compressed = compress(load_bundled(MODEL).module, CompressionSpec(MODEL, PruneSpec(sparsity=0.3), QuantSpec(5)))
    size = size_pattern(compressed)
    expect(metric(page, "File size")).to_have_text(size)
    menu = page.get_by_test_id("stSidebar")
    expect(menu.get_by_role("link", name="Networks")).to_have_attribute(
        "href", re.compile("bits=5.*sparsity=0.3|sparsity=0.3.*bits=5")
    )
    menu.get_by_role("link", name="Networks").click()
    expect(page.get_by_text("Which network, and what is it made of?")).to_be_visible()
    menu.get_by_role("link", name="Explore").click()
    expect(metric(page, "File size")).to_have_text(size)
    press(page, "Bits per weight", "ArrowRight", 1)
    compressed = compress(load_bundled(MODEL).module, CompressionSpec(MODEL, PruneSpec(sparsity=0.3), QuantSpec(4)))
    expect(metric(page, "File size")).to_have_text(size_pattern(compressed))


def test_a_link_shows_the_same_picture_to_somebody_else(page, page_of, bare_server):
    page.goto(f"{bare_server}/?model={MODEL}&sparsity=0.27")
    press(page, "Bits per weight", "ArrowRight", 5)
    press(page, "Sparsity", "ArrowRight", 3)
    expect(page).to_have_url(re.compile("sparsity=0.3$"))
    expect(metric(page, "Sparsity")).to_contain_text("30.")
    compressed = compress(load_bundled(MODEL).module, CompressionSpec(MODEL, PruneSpec(sparsity=0.3), QuantSpec(5)))
    size = size_pattern(compressed)
    expect(metric(page, "File size")).to_have_text(size)
    page.reload()
    expect(metric(page, "File size")).to_have_text(size)
    other = page_of()
    other.goto(page.url)
    expect(metric(other, "File size")).to_have_text(size)


def test_a_nonsense_link_falls_back_and_says_so(page, bare_server):
    page.goto(f"{bare_server}/?model={MODEL}&bits=99&flavour=sweet")
    expect(page.get_by_text("bits=99 in the link cannot be used.")).to_be_visible()
    expect(page.get_by_text("flavour=sweet in the link is not a setting.")).to_be_visible()


@pytest.mark.parametrize("model", [MODEL, LARGE])
def test_the_answer_is_on_one_screen_in_both_themes(page, bare_server, model):
    page.goto(f"{bare_server}/?model={model}&bits=4&sparsity=0.5")
    weights, charts = page.locator("figure[data-state]"), page.get_by_test_id("stPlotlyChart")
    expect(charts).to_have_count(2, timeout=SECONDS_90)
    for _ in in_every_view(page):
        for part in (metric(page, "Accuracy"), metric(page, "Bit operations"), weights, charts.nth(0)):
            expect(part).to_be_in_viewport(ratio=0.99)
        expect(charts.nth(1)).to_be_in_viewport(ratio=0.8)


def test_without_images_there_is_what_was_measured_beforehand_and_the_place_says_what_to_do(page, bare_server):
    page.goto(f"{bare_server}/?model={MODEL}&bits=4")
    spec = CompressionSpec(MODEL, weights=QuantSpec(4))
    measured = read_landscape(load_bundled(MODEL)).get(spec).evaluation
    expect(metric(page, "Accuracy")).to_have_text(wording.percent(measured.accuracy, 2))
    expect(page.get_by_text("Measured beforehand, with PyTorch")).to_be_visible()
    compressed = compress(load_bundled(MODEL).module, spec)
    expect(metric(page, "File size")).to_have_text(size_pattern(compressed))
    page.goto(f"{bare_server}/?model={MODEL}&bits=7&sparsity=0.55")
    expect(page.get_by_text("Measured neighbours")).to_be_visible()
    page.goto(f"{bare_server}/?model={MODEL}&bits=4&scheme=affine&sparsity=0.55")
    expect(metric(page, "Accuracy")).to_have_text("no images")
    expect(page.get_by_text("The accuracy needs the test images of CIFAR-10")).to_be_visible()
    page.get_by_role("button", name="Download 24 MB").click()
    expect(page.get_by_text("cannot be reached")).to_be_visible()


def test_a_cold_deep_link_to_the_guide_opens_and_the_menu_leads_back(page, bare_server):
    page.goto(f"{bare_server}/guide")
    expect(page.get_by_role("heading", name="What the numbers mean")).to_be_visible()
    page.get_by_role("link", name="Explore").click()
    expect(metric(page, "File size")).to_be_visible()


# ---- networks, and the reader's own


def test_what_is_picked_and_set_goes_along_from_page_to_page(page, bare_server):
    page.goto(f"{bare_server}/?model={LARGE}&bits=4&sparsity=0.3")
    menu = page.get_by_test_id("stSidebar")
    menu.get_by_text("Networks", exact=True).click()
    page.get_by_test_id("stMain").get_by_role("combobox", name="Network").click()
    page.get_by_role("option", name=MODEL, exact=True).click()
    expect(page.get_by_test_id("stMetricValue").nth(1)).to_have_text(wording.quantity(load_bundled(MODEL).parameters))
    menu.get_by_text("Explore", exact=True).click()
    compressed = compress(load_bundled(MODEL).module, CompressionSpec(MODEL, PruneSpec(sparsity=0.3), QuantSpec(4)))
    expect(metric(page, "File size")).to_have_text(size_pattern(compressed))
    expect(page).to_have_url(re.compile(f"model={MODEL}"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A file of somebody's own, with a small network."""
    path = tmp_path_factory.mktemp("checkpoint") / "mine-1a2b.pth"
    torch.save(load_bundled(MODEL).module.state_dict(), path)
    return path


def test_a_network_of_ones_own_is_on_every_page_and_seen_by_nobody_without_its_link(
    page, page_of, server, checkpoint, test_images
):
    page.goto(f"{server}/checkpoint")
    page.locator("input[type=file]").set_input_files(checkpoint)
    expect(page.get_by_text("two convolutions and two linear layers, 268,650 parameters")).to_be_visible(
        timeout=SECONDS_90
    )
    normalization = load_bundled(MODEL).normalization.name
    expect(page.get_by_role("combobox", name="Normalisation")).to_have_value(normalization, timeout=SECONDS_90)
    page.get_by_test_id("stMain").get_by_text("Explore mine-1a2b").click()
    expect(metric(page, "Accuracy")).to_contain_text(re.compile(r"\d"), timeout=SECONDS_90)
    expect(page).to_have_url(re.compile("model=mine-1a2b-"))
    link = page.url
    page.get_by_test_id("stSidebar").get_by_text("Networks", exact=True).click()
    expect(page.get_by_text("Your file mine-1a2b.pth")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Your file mine-1a2b.pth")).to_be_visible()
    other = page_of()
    other.goto(f"{server}/networks")
    expect(other.get_by_test_id("stMetric").first).to_be_visible()
    other.get_by_role("combobox", name="Network").click()
    expect(other.get_by_role("option", name="resnet20", exact=True)).to_be_visible()
    expect(other.get_by_text("1a2b-")).to_have_count(0)
    other.goto(link)
    expect(other.get_by_role("combobox", name="Network")).to_have_value(re.compile("^mine-1a2b-"))


def test_a_damaged_upload_is_told_and_the_next_one_is_taken(page, server, checkpoint, tmp_path):
    page.goto(f"{server}/checkpoint")
    cut = tmp_path / "cut.th"
    cut.write_bytes(checkpoint.read_bytes()[:300_000])
    page.locator("input[type=file]").set_input_files(cut)
    expect(page.get_by_text("This file cannot be used: cut.th is damaged")).to_be_visible()
    page.locator("input[type=file]").set_input_files(checkpoint)
    expect(page.get_by_text("two convolutions and two linear layers, 268,650 parameters")).to_be_visible(
        timeout=SECONDS_90
    )


def test_the_card_shows_what_one_scale_does_to_a_depthwise_layer(page, bare_server):
    page.goto(f"{bare_server}/networks?model=mobilenetv2")
    expect(page.get_by_test_id("stPlotlyChart")).to_be_visible(timeout=SECONDS_90)
    for _ in in_every_view(page):
        expect(page.get_by_test_id("stPlotlyChart")).to_be_in_viewport(ratio=0.6)
        expect(page.get_by_test_id("stDataFrame").first).to_be_in_viewport(ratio=0.6)
        expect(page.get_by_text(re.compile("channels become zero"))).to_be_attached()
