"""The page of two quantizers side by side: what it shows is what `compression` computes."""

from itertools import product

import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from compression.core.compress import compress
from compression.core.record import CompressedModel
from compression.evaluation.evaluation import evaluate
from compression.inspect.integers import quantize_filter
from compression.inspect.staircase import build_staircase
from compression.lessons.methods import explanation
from compression.networks.bundled import load_bundled
from compression.paths import PROJECT
from compression.results.landscape import read_landscape
from compression.spec import AUTOMATIC_SCHEMES, CompressionSpec, QuantSpec, Scheme
from pages.ui import wording
from pages.ui.charts import cells, quantization, style
from pages.ui.quantization.accuracy import comparison_in_words
from tests.pages.test_app import damaged_data
from tests.support.sizes import size_texts

MODEL, LAYER = "simple_cnn", "conv2"


@pytest.fixture
def page() -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    page.query_params["model"] = MODEL
    page.switch_page("pages/quantization.py")
    return page.run()


def quantized(*quant) -> CompressedModel:
    return compress(load_bundled(MODEL).module, CompressionSpec(MODEL, None, QuantSpec(*quant)))


def shown(page: AppTest, label: str) -> list[str]:
    """The metrics of this label, left and right."""
    assert not page.exception
    return [metric.value for metric in page.metric if metric.label == label]


def said(page: AppTest) -> str:
    return " ".join(element.value for element in [*page.caption, *page.markdown])


def expect(page: AppTest, left: CompressedModel, right: CompressedModel, channel: int | None = None) -> None:
    both = left, right
    assert all(text in size_texts(side) for text, side in zip(shown(page, "File size"), both, strict=True))
    records = [next(record for record in side.layers if record.name == LAYER) for side in both]
    assert shown(page, "SQNR") == [wording.decibels(build_staircase(record, channel).sqnr_db) for record in records]
    for record in records:
        assert (
            f"entropy of the codes {build_staircase(record, channel).entropy_bits:.2f} of {record.bits} bits"
            in said(page)
        )


def test_it_opens_on_symmetric_and_k_means_at_four_bits(page):
    expect(page, quantized(4, "symmetric", "tensor"), quantized(4, "k-means", "tensor"))
    assert all(explanation(scheme).text in said(page) for scheme in (Scheme.SYMMETRIC, Scheme.K_MEANS))


def test_the_slider_moves_both_sides(page):
    page.select_slider(key="bits").set_value("3").run()
    expect(page, quantized(3, "symmetric", "tensor"), quantized(3, "k-means", "tensor"))


def test_each_side_has_its_own_scheme_range_and_granularity(page):
    page.selectbox(key="left_clip").set_value("percentile").run()
    page.run()
    page.selectbox(key="right_scheme").set_value("affine").run()
    expect(page, quantized(4, "symmetric", "tensor", "percentile"), quantized(4, "affine", "tensor"))
    page.button_group(key="right_granularity").set_value("channel").run()
    page.selectbox(key="channel").set_value(5).run()
    expect(page, quantized(4, "symmetric", "tensor", "percentile"), quantized(4, "affine", "channel"), channel=5)


def test_every_scheme_can_stand_on_either_side_at_the_ends_of_the_slider(page):
    for bits, scheme in product(("8", "1"), AUTOMATIC_SCHEMES):
        if page.select_slider(key="bits").value != bits:
            page.select_slider(key="bits").set_value(bits).run()
            page.run()
        page.selectbox(key="left_scheme").set_value(scheme)
        page.selectbox(key="right_scheme").set_value(scheme).run()
        assert len(set(shown(page, "SQNR"))) == 1
        taken = scheme.nearest_bits(int(bits))
        assert (f"this scheme takes {taken} bit" in said(page)) == (taken != int(bits))


def test_the_integers_of_a_filter_are_those_of_the_core_and_a_codebook_has_none(page):
    record = next(record for record in quantized(4, "symmetric", "tensor").layers if record.name == LAYER)
    codes = quantize_filter(record, 0)
    assert f"times the scale {codes.scale:.5g}" in said(page)
    assert f"Layer {LAYER} cannot be computed in integers" in said(page)


def test_every_layer_can_be_looked_at_also_after_a_channel_that_it_does_not_have(page):
    page.selectbox(key="channel").set_value(30).run()
    page.run()
    for layer in page.selectbox(key="layer").options:
        page.selectbox(key="layer").set_value(layer).run()
        assert shown(page, "SQNR")


def test_what_explore_shows_as_a_whole_has_a_layer_here(page):
    page.switch_page("app.py").run()
    page.select_slider(key="bits").set_value("5").run()
    page.switch_page("pages/quantization.py").run()
    assert shown(page, "SQNR")


def test_without_images_all_but_accuracy_is_there(page, tmp_path, nothing_beforehand):
    with damaged_data(tmp_path):
        page.run()
    assert shown(page, "Accuracy") == ["no images"] * 2
    expect(page, quantized(4, "symmetric", "tensor"), quantized(4, "k-means", "tensor"))


def test_without_images_both_sides_show_what_was_measured_beforehand(page, tmp_path):
    beforehand = read_landscape(load_bundled(MODEL))
    specs = [CompressionSpec(MODEL, weights=QuantSpec(4, scheme, "tensor")) for scheme in ("symmetric", "k-means")]
    left, right = (beforehand.get(spec).evaluation for spec in specs)
    with damaged_data(tmp_path):
        page.run()
    assert shown(page, "Accuracy") == [wording.percent(each.accuracy, 2) for each in (left, right)]
    assert any(each.value == comparison_in_words(left, right) for each in page.markdown)


def test_the_verdict_is_that_of_mcnemar_on_the_same_images(test_images):
    model, few = load_bundled(MODEL), test_images[:500]
    left, right = (evaluate(quantized(bits, "symmetric", "tensor").module, few, model.normalization) for bits in (8, 2))
    lost = int((left.right & ~right.right).sum())
    assert f"{lost:,} images are correct on the left only" in comparison_in_words(left, right)
    assert "the left is significantly better" in comparison_in_words(left, right)
    assert "the right is significantly better" in comparison_in_words(right, left)
    assert "They are the same images" in comparison_in_words(left, left)


@pytest.mark.parametrize("quant", [(4, "k-means", "tensor"), (2, "symmetric", "channel"), (8, "affine", "tensor")])
def test_plotly_finds_nothing_wrong_with_the_charts(quant):
    made = quantized(*quant)
    stairs, ink = build_staircase(made.layers[1], 0), style.ink("dark")
    drawn = (
        quantization.levels(stairs, "words", style.COMPRESSED, 100, ink),
        quantization.staircase(stairs, style.COMPRESSED, ink),
        quantization.sqnr([("left", style.COMPRESSED, [layer.facts for layer in made.layers])], LAYER, ink),
        cells.codes([[1, None], [None, -3]], 0, 3, ink),
    )
    for drawing in drawn:
        assert go.Figure(drawing.to_dict()).data
