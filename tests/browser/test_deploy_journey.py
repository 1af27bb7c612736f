"""What a person does on the Deploy page, in a real browser: takes the file along, and has networks timed."""

from playwright.sync_api import expect

from compression.core.compress import compress
from compression.files.ledger import encode_file, explain_size
from compression.files.packed_file import fingerprint
from compression.files.packed_reader import load_compressed
from compression.networks.bundled import load_bundled
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from pages.ui import wording
from tests.browser.test_journeys import SECONDS_90, press
from tests.browser.views import in_every_view

MODEL = "simple_cnn"


def test_the_file_is_explained_and_what_is_downloaded_is_the_network(page, bare_server, tmp_path):
    page.goto(f"{bare_server}/deploy?model={MODEL}&bits=4&by=sparsity&sparsity=0.89")
    expect(page.get_by_text("Contents of the file")).to_be_visible(timeout=SECONDS_90)
    press(page, "Sparsity", "ArrowRight", 1)
    model = load_bundled(MODEL)
    compressed = compress(model.module, CompressionSpec(MODEL, PruneSpec(sparsity=0.9), QuantSpec(4)))
    content, ledger = encode_file(compressed, model)
    expect(page.get_by_text(explain_size(ledger))).to_be_visible()
    expect(page.get_by_text("Verified: decoded weights are identical")).to_be_visible()
    with page.expect_download() as taken:
        page.get_by_role("button", name=f"Packed, {wording.size(len(content))}").click()
    path = tmp_path / taken.value.suggested_filename
    taken.value.save_as(path)
    assert path.name == f"{MODEL}-packed.safetensors"
    assert path.stat().st_size == len(content)
    assert fingerprint(load_compressed(path).module) == fingerprint(compressed.module)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_files_are_exported_checked_on_all_test_images_and_timed(page, server, test_images):
    page.goto(f"{server}/deploy?model={MODEL}&bits=8")
    page.get_by_role("button", name="Export and time").click()
    expect(page.get_by_role("button", name="Time again")).to_be_visible(timeout=3 * SECONDS_90)
    expect(page.get_by_text("Agrees on 10,000 of 10,000").first).to_be_visible()
    expect(page.get_by_text("Int8 computes 2 of its 2 convolutions in integers")).to_be_visible()
    expect(page.get_by_text("One image, 1 thread")).to_be_visible()
    expect(page.get_by_role("button", name="ONNX int8,")).to_be_enabled()
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_numbers_sentence_and_waterfall_are_on_one_screen(page, bare_server):
    page.goto(f"{bare_server}/deploy?model={MODEL}&bits=4")
    chart = page.get_by_test_id("stPlotlyChart").first
    for _ in in_every_view(page):
        expect(chart).to_be_in_viewport(ratio=0.95, timeout=SECONDS_90)
        expect(page.get_by_test_id("stMetric").first).to_be_in_viewport()
        expect(chart.get_by_text("disk")).to_be_in_viewport()
