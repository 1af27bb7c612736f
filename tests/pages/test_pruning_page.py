"""The Pruning page, driven without a browser: what it shows is what `compression` computes."""

import json

import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from compression.core.compress import compress
from compression.errors import DataMissing
from compression.inspect.mosaic import build_mosaic, build_overlap
from compression.inspect.ranking import rank_filters
from compression.inspect.scores import Cut
from compression.inspect.threshold_curve import build_curve
from compression.networks.bundled import load_bundled
from compression.paths import PROJECT
from compression.spec import CompressionSpec, Criterion, PruneSpec, Structure
from pages.ui import wording
from pages.ui.charts import cells, style
from pages.ui.charts import pruning as pruning_charts
from pages.ui.compute import images, pruning
from pages.ui.settings import target
from pages.ui.state.specs import is_possible
from tests.support.sizes import size_texts

MODEL = "simple_cnn"


@pytest.fixture(autouse=True)
def no_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accuracy has its own tests, and counting takes the cores from these."""
    monkeypatch.setattr(images, "test_images", lambda: DataMissing("there are no test images"))


def opened(**link: str) -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    for key, value in {"model": MODEL, **link}.items():
        page.query_params[key] = value
    page.switch_page("pages/pruning.py")
    return page.run()


def metrics(page: AppTest) -> dict[str, str]:
    assert not page.exception
    return {metric.label: metric.value for metric in page.metric}


def drawn(page: AppTest, title: str) -> dict:
    """The chart with that title."""
    (found,) = [
        spec for spec in (json.loads(chart.proto.spec) for chart in page.get("plotly_chart")) if title in str(spec)
    ]
    return found


def expected(prune: PruneSpec):
    return compress(load_bundled(MODEL).module, CompressionSpec(MODEL, prune))


def test_moving_the_slider_shows_what_compression_computes():
    page = opened()
    page.slider(key="sparsity").set_value(0.8).run()
    compressed = expected(PruneSpec(sparsity=0.8))
    assert metrics(page)["Sparsity"] == wording.percent(compressed.sparsity)
    assert metrics(page)["File size"] in size_texts(compressed)


def test_each_of_the_two_sliders_implies_the_other():
    page = opened(sparsity="0.6")
    (grey,) = [slider for slider in page.slider if slider.disabled]
    threshold = min(layer.threshold for layer in expected(PruneSpec(sparsity=0.6)).layers)
    assert grey.value == pytest.approx(threshold, abs=grey.step)
    page.segmented_control(key="by").set_value("threshold").run()
    page.slider(key="threshold").set_value(0.03).run()
    compressed = expected(PruneSpec(0.03))
    (grey,) = [slider for slider in page.slider if slider.disabled]
    assert grey.value == pytest.approx(compressed.sparsity, abs=0.005)


@pytest.mark.parametrize("structure", ["weight", "2:4", "filter"])
def test_every_criterion_that_a_structure_can_have_prunes_or_says_what_it_lacks(structure):
    page = opened(structure=structure)
    offered = list(page.selectbox(key="criterion").options)
    assert "l1" in offered
    assert ("signed" in offered) == (structure == "weight")
    assert ("bn-scale" in offered) == (structure == "filter")
    for criterion in offered:
        if criterion not in ("taylor", "obs"):
            page.selectbox(key="criterion").set_value(criterion).run()
            assert page.info or "Sparsity" in metrics(page)


def test_the_mosaic_and_the_curve_are_those_of_the_chosen_layer():
    page = opened(sparsity="0.7", layer="conv2")
    record = next(layer for layer in expected(PruneSpec(sparsity=0.7)).layers if layer.name == "conv2")
    view = build_mosaic([record.weight])
    (heatmap,) = drawn(page, "Weights kept in conv2")["data"]
    assert heatmap["z"][0][0] == pytest.approx(view.nonzero[0][0] / view.weights[0][0], abs=1e-3)
    names = [trace["name"] for trace in drawn(page, "Share of scores below a threshold")["data"]]
    assert names[:2] == ["whole network", "this layer"]


def test_the_other_way_is_held_against_this_one_at_the_same_sparsity():
    page = opened(sparsity="0.5", rival="signed")
    here, there = (expected(PruneSpec(None, 0.5, criterion=criterion)) for criterion in ("l1", "signed"))
    pairs = [[layer.weight for layer in one.layers] for one in (here, there)]
    _, first, _, both = build_overlap(*pairs).counts
    assert any(
        f"{first + both:,} weights that this criterion prunes, the other criterion prunes "
        f"**{wording.percent(both / (first + both))}** too" in caption.value
        for caption in page.caption
    )


def test_filters_are_taken_out_and_the_proof_is_shown():
    page = opened(structure="filter", sparsity="0.5")
    before = metrics(page)["MACs per image"]
    page.button(key="take").click().run()
    page.run()
    shown = metrics(page)
    assert shown["MACs per image"] == shown["Multiply-accumulates"] != before
    assert any("Verified: without its zero filters" in markdown.value for markdown in page.markdown)


def test_without_training_images_what_needs_them_says_so_and_nothing_breaks(monkeypatch):
    def missing(*_):
        raise DataMissing("there are no training images")

    monkeypatch.setattr(pruning, "evidence_for", missing)
    pruning.criterion_scores.clear()
    for link in ({"criterion": "taylor"}, {"criterion": "obs"}, {"model": "resnet20", "reestimate": "true"}):
        page = opened(**link)
        assert not page.exception
        assert "needs training images" in page.info[0].value
    pruning.criterion_scores.clear()


def test_what_the_page_names_has_a_name():
    for structure in Structure:
        for criterion in Criterion:
            if is_possible(criterion, structure):
                axes = target.FILTER_AXES if structure is Structure.FILTER else target.AXES
                assert axes[criterion]


@pytest.mark.parametrize("layer", [None, "conv2"])
def test_plotly_finds_nothing_wrong_with_the_charts(layer):
    records = [record for record in expected(PruneSpec(sparsity=0.5)).layers if layer in (None, record.name)]
    weights = [record.weight for record in records]
    names = [] if layer else [record.name for record in records]
    curve = build_curve([record.original.abs() for record in records])
    ink = style.ink("light")
    for drawing in (
        pruning_charts.curve(curve, curve, Cut(0.01, 0.02, 0.5), "|w|", ink),
        pruning_charts.curve(build_curve([record.original for record in records]), None, None, "w", ink),
        cells.mosaic(build_mosaic(weights), "all", names, ink),
        cells.overlap(build_overlap(weights, weights[:]), names, ink),
        pruning_charts.ranking(
            rank_filters([weight.flatten(1).abs().mean(1) for weight in weights], weights), "|w|", ink
        ),
    ):
        assert go.Figure(drawing.to_dict()).data
