"""While a slider moves, the weights and the numbers of Explore follow it; then the exact answer takes their place."""

import math
import random
import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from compression.core.compress import compress
from compression.core.record import bit_operations
from compression.files.ledger import FileLedger, count_file
from compression.inspect.histogram import build_weight_view
from compression.inspect.sketch import sketch_weights
from compression.networks.bundled import load_bundled
from compression.networks.macs import layer_macs
from compression.networks.weights import compressible_weights
from compression.results.landscape import read_landscape
from compression.results.neighbours import GridPoint, grid_points
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from pages.ui import wording
from pages.ui.explore.picture import message, script
from tests.browser.test_journeys import metric

MODEL = "simple_cnn"
SETTINGS = 200
ENDS = [(None, 0.0), (4, 0.0), (None, 0.995)]  # bits and sparsities
COMPUTE = """async ([message, settings]) => {
    const sketch = await readSketch(message);
    return settings.map(([setting, anchors, fixed]) => {
        const network = compressNetwork(sketch, setting);
        const share = network.pruned, band = accuracyBand(setting, share, anchors);
        const bytes = fileBytes(sketch, setting, network, anchors, fixed);
        const texts = [percent(network.sparsity), quantity(network.bitOperations), decibels(network.view.sqnr)];
        return [network.sparsity, network.view.sqnr, bytes, band, texts];
    });
}"""


def handle(page: Page, name: str) -> Locator:
    slider = page.get_by_test_id("stSlider").filter(has=page.get_by_role("slider", name=name))
    return slider.get_by_test_id("stSliderThumbValue").locator("xpath=..")


def grab(page: Page, name: str) -> None:
    """Presses the mouse on the handle of a slider."""
    handle(page, name).scroll_into_view_if_needed()
    box = handle(page, name).bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()


def weights(page: Page) -> Locator:
    return page.locator("figure[data-state]")


def comparison(page: Page, label: str) -> Locator:
    return (
        page.get_by_test_id("stMetric").filter(has=page.get_by_text(label, exact=True)).get_by_test_id("stMetricDelta")
    )


def test_numbers_and_weights_follow_a_slider_and_are_exact_after_its_release(page: Page, bare_server: str) -> None:
    page.goto(f"{bare_server}/?model={MODEL}&bits=4")
    expect(weights(page)).to_have_attribute("data-state", "exact")
    expect(metric(page, "Accuracy")).to_have_text(re.compile(r"\d\d\.\d\d"))
    page.wait_for_function("window.squeezelabSketches?.size === 1")
    grab(page, "Sparsity")
    box = page.get_by_test_id("stSlider").filter(has=page.get_by_role("slider", name="Sparsity")).bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=8)
    expect(weights(page)).to_have_attribute("data-state", "sketch")
    share = int(handle(page, "Sparsity").inner_text().removesuffix("%")) / 100
    assert 0.3 < share < 0.7
    spec = CompressionSpec(MODEL, PruneSpec(sparsity=share), QuantSpec(4))
    compressed = compress(load_bundled(MODEL).module, spec)
    expect(comparison(page, "Sparsity")).to_have_text(f"{wording.percent(share)} pruned")
    shown = float(metric(page, "Sparsity").inner_text().split("\N{NARROW NO-BREAK SPACE}")[0])
    assert shown == pytest.approx(100 * compressed.sparsity, abs=0.11)
    expect(metric(page, "File size")).to_contain_text("≈")
    expect(comparison(page, "Accuracy")).to_have_text(re.compile("between measured|points"))
    expect(weights(page).get_by_role("img")).to_have_attribute("aria-label", re.compile("268,464 weights on 15 levels"))
    page.mouse.up()
    expect(weights(page)).to_have_attribute("data-state", "exact")
    expect(metric(page, "Sparsity")).to_have_text(wording.percent(compressed.sparsity))
    view = build_weight_view(compressed)
    words = f"{wording.percent(view.zeros / view.weights)} are zero. .* {view.sqnr_db:.1f}"
    expect(weights(page).get_by_role("img")).to_have_attribute("aria-label", re.compile(words))
    expect(page.locator("[data-estimate]")).to_have_count(0)


def test_a_slider_that_returns_leaves_what_was_there(page: Page, bare_server: str) -> None:
    page.goto(f"{bare_server}/?model={MODEL}&bits=4")
    expect(metric(page, "Accuracy")).to_have_text(re.compile(r"\d\d\.\d\d"))
    page.wait_for_function("window.squeezelabSketches?.size === 1")
    before = page.get_by_test_id("stMetric").all_inner_texts()
    grab(page, "Bits per weight")
    box = handle(page, "Bits per weight").bounding_box()
    assert box
    page.mouse.move(box["x"] - 400, box["y"] + 5, steps=4)
    expect(handle(page, "Bits per weight")).to_have_text("float")
    expect(weights(page)).to_have_attribute("data-state", "sketch")
    expect(comparison(page, "Bit operations")).to_have_text("not fewer")
    assert page.get_by_test_id("stMetric").all_inner_texts() != before
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    expect(weights(page)).to_have_attribute("data-state", "exact")
    assert page.get_by_test_id("stMetric").all_inner_texts() == before


def test_a_link_to_a_place_between_the_steps_of_a_slider_is_exact(page: Page, bare_server: str) -> None:
    page.goto(f"{bare_server}/?model={MODEL}&bits=4&sparsity=0.125")
    page.wait_for_function("window.squeezelabSketches?.size === 1")
    page.wait_for_timeout(200)
    expect(weights(page)).to_have_attribute("data-state", "exact")
    expect(comparison(page, "Sparsity")).to_have_text(f"{wording.percent(0.125)} pruned")


def test_a_slider_at_bits_that_the_scheme_lacks_is_exact_and_the_first_threshold_is_followed(
    page: Page, bare_server: str
) -> None:
    page.goto(f"{bare_server}/?model={MODEL}&bits=1&by=threshold")
    page.wait_for_function("window.squeezelabSketches?.size === 1")
    page.wait_for_timeout(200)
    expect(weights(page)).to_have_attribute("data-state", "exact")
    grab(page, "Threshold on |w|")
    box = handle(page, "Threshold on |w|").bounding_box()
    assert box
    page.mouse.move(box["x"] + 80, box["y"] + 5, steps=4)
    expect(weights(page)).to_have_attribute("data-state", "sketch")
    expect(comparison(page, "Sparsity")).to_contain_text("pruned")
    expect(weights(page).get_by_role("img")).to_have_attribute("aria-label", re.compile("on 3 levels"))
    page.mouse.up()


def test_where_the_sketch_does_not_say_what_happens_nothing_is_estimated(page: Page, bare_server: str) -> None:
    page.goto(f"{bare_server}/?model={MODEL}&bits=4&scheme=k-means")
    expect(weights(page)).to_have_attribute("data-state", "exact")
    page.wait_for_function("window.squeezelabSketches?.size === 1")
    grab(page, "Sparsity")
    box = handle(page, "Sparsity").bounding_box()
    assert box
    page.mouse.move(box["x"] + 40, box["y"] + 5, steps=4)
    expect(handle(page, "Sparsity")).not_to_have_text("0%")
    page.wait_for_timeout(200)
    expect(weights(page)).to_have_attribute("data-state", "exact")
    page.mouse.up()


def test_the_layer_is_picked_at_the_chart(page: Page, bare_server: str) -> None:
    page.goto(f"{bare_server}/?model={MODEL}&bits=4")
    page.get_by_label("Weights shown").select_option("conv2")
    expect(page).to_have_url(re.compile("layer=conv2"))
    expect(weights(page).get_by_role("img")).to_have_attribute("aria-label", re.compile("^Weights of conv2"))
    page.wait_for_timeout(1_100)  # what changes within a second is one step
    page.locator(".js-plotly-plot .bars .point").last.click(force=True)
    expect(weights(page).get_by_role("img")).to_have_attribute("aria-label", re.compile("^Weights of fc2"))
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Weights shown")).to_have_value("conv2")


def test_a_state_is_frozen_in_numbers_chart_and_link_and_comes_back(page: Page, page_of: Any, bare_server: str) -> None:
    page.goto(f"{bare_server}/?model={MODEL}&bits=6")
    page.get_by_role("button", name="Freeze as A").click()
    measured = read_landscape(load_bundled(MODEL)).get(CompressionSpec(MODEL, weights=QuantSpec(6))).evaluation
    words = re.compile(f"^A, 6 bits: {wording.percent(measured.accuracy, 2)} accuracy")
    expect(page.get_by_text(words)).to_be_visible()
    page.get_by_role("slider", name="Bits per weight").focus()
    page.keyboard.press("ArrowRight")
    label = re.compile("on 31 levels.* A: .* on 63 levels")
    expect(weights(page).get_by_role("img")).to_have_attribute("aria-label", label)
    expect(page).to_have_url(re.compile("bits=5.*frozen="))
    other = page_of()
    other.goto(page.url)
    expect(weights(other).get_by_role("img")).to_have_attribute("aria-label", label)
    other.get_by_role("button", name="Back to A").click()
    expect(other).to_have_url(re.compile("bits=6.*frozen="))
    other.get_by_role("button", name="Forget A").click()
    expect(other.get_by_text(words)).to_have_count(0)
    expect(other).not_to_have_url(re.compile("frozen"))


# ---- the arithmetic of the browser against that of the package


def random_settings(name: str) -> tuple[list[Any], list[Any]]:
    """Returns settings with what was measured around them, and the networks that `compression` makes of them."""
    chance, model = random.Random(0), load_bundled(name)
    macs = layer_macs(model.module, model.example)
    settings, networks = [], []
    for place in range(SETTINGS):
        bits, share = chance.choice((None, 8, 7, 6, 5, 4, 3, 2)), chance.randrange(100) / 100
        bits, share = ENDS[place] if place < len(ENDS) else (bits, share)
        prune = PruneSpec(sparsity=share, scope=chance.choice(("global", "layer")))
        if place >= len(ENDS) and chance.random() < 0.2:
            prune = PruneSpec(threshold=chance.randrange(1, 60) / 1000)
        quant = QuantSpec(bits or 4, granularity=chance.choice(("channel", "tensor")))
        spec = CompressionSpec(name, prune, quant if bits else None)
        compressed = compress(model.module, spec)
        with_bits = CompressionSpec(name, prune, quant)
        setting = {
            "bits": bits,
            "granularity": quant.granularity,
            "sparsity": prune.sparsity or 0,
            "threshold": prune.threshold,
            "scope": prune.scope,
            "activationBits": 32,
        }
        settings.append((setting, [point._asdict() for point in grid_points(model, with_bits)], 0))
        networks.append((spec, compressed, bit_operations(compressed, macs)))
    return settings, networks


@pytest.mark.parametrize("name", ["simple_cnn", "resnet20"])
def test_the_browser_computes_what_the_package_computes(page: Page, name: str) -> None:
    """Shares agree within 0.1 %, the digit that is shown, and noise within 0.15 dB; most print the same digits.

    The first settings have no pruning, or more than all percents whose thresholds are in the sketch.
    """
    model = load_bundled(name)
    weights = {layer: weight.channels_first for layer, weight in compressible_weights(model.module).items()}
    sketch = message(sketch_weights(weights), layer_macs(model.module, model.example))
    settings, networks = random_settings(name)
    page.goto("about:blank")
    page.add_script_tag(content=script(("estimate.js", "wording.js")))
    answers = page.evaluate(COMPUTE, [sketch, settings])
    same = 0
    for (sparsity, sqnr, _, band, texts), (spec, compressed, operations) in zip(answers, networks, strict=True):
        view = build_weight_view(compressed)
        beyond = spec.prune and (spec.prune.sparsity or 0) > 0.99  # where thresholds between percents are not known
        assert sparsity == pytest.approx(compressed.sparsity, abs=0.006 if beyond else 0.001)
        assert beyond or (math.inf if sqnr is None else sqnr) == pytest.approx(view.sqnr_db, abs=0.15)
        assert texts[1] == wording.quantity(operations)
        same += texts == [
            wording.percent(compressed.sparsity),
            wording.quantity(operations),
            wording.decibels(view.sqnr_db),
        ]
        measured = read_landscape(model).get(spec)
        if measured:
            assert band == [measured.evaluation.accuracy, measured.evaluation.accuracy, True]
        elif band:
            assert band[0] <= band[1]
    assert same >= 0.85 * SETTINGS


def setting_of(bits: int | None, sparsity: float) -> dict[str, Any]:
    """Returns a setting of the sliders; all else is as it is when Explore opens."""
    rest = {"granularity": "channel", "threshold": None, "scope": "global", "activationBits": 32}
    return {"bits": bits, "sparsity": sparsity} | rest


def sizes_in_browser(page: Page, cases: list[Any]) -> list[int]:
    """Returns the sizes that the browser computes for settings of MODEL, each with anchors and fixed bytes."""
    model = load_bundled(MODEL)
    weights = {layer: weight.channels_first for layer, weight in compressible_weights(model.module).items()}
    sketch = message(sketch_weights(weights), layer_macs(model.module, model.example))
    page.goto("about:blank")
    page.add_script_tag(content=script(("estimate.js", "wording.js")))
    return [nbytes for _, _, nbytes, _, _ in page.evaluate(COMPUTE, [sketch, cases])]


def file_of(bits: int | None, sparsity: float) -> FileLedger:
    model = load_bundled(MODEL)
    spec = CompressionSpec(MODEL, PruneSpec(sparsity=sparsity), QuantSpec(bits) if bits else None)
    return count_file(compress(model.module, spec), model)


def test_sizes_are_those_of_files_within_a_few_percent(page: Page) -> None:
    """What was measured is met exactly, and a setting between two of them by 5 %."""
    cases, sizes = [], []
    for bits, sparsity in ((None, 0.4), (8, 0.0), (8, 0.45), (5, 0.3), (5, 0.65), (4, 0.0), (3, 0.85), (2, 0.55)):
        file, family = file_of(bits, sparsity), CompressionSpec(MODEL, PruneSpec(sparsity=0.5), QuantSpec(4))
        points = [point._asdict() for point in grid_points(load_bundled(MODEL), family)]
        cases.append((setting_of(bits, sparsity), points, file.rest + file.container))
        sizes.append((file.total, any((point["bits"], point["sparsity"]) == (bits, sparsity) for point in points)))
    for nbytes, (size, is_measured) in zip(sizes_in_browser(page, cases), sizes, strict=True):
        assert nbytes == pytest.approx(size, abs=1) if is_measured else nbytes == pytest.approx(size, rel=0.05)


def test_without_measured_neighbours_sizes_are_those_of_files_within_a_tenth(page: Page) -> None:
    """The files of now and of the float network are known, as always; moves go from float to codes and back."""
    moves = [(None, 0.5, 8, 0.5), (None, 0.0, 2, 0.0), (4, 0.5, None, 0.5), (4, 0.9, None, 0.9), (None, 1.0, None, 0.9)]
    cases, whole = [], file_of(None, 0.0).total
    for bits, sparsity, bits_then, sparsity_then in moves:
        now = file_of(bits, sparsity)
        anchors = [GridPoint(bits, sparsity, now.total, None)._asdict(), GridPoint(None, 0.0, whole, None)._asdict()]
        cases.append((setting_of(bits_then, sparsity_then), anchors, now.rest + now.container))
    expected = [file_of(bits, sparsity).total for _, _, bits, sparsity in moves]
    assert sizes_in_browser(page, cases) == pytest.approx(expected, rel=0.1)
