"""The page of trade-offs, driven without a browser: what it names is what `compression` finds."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
import torch
from streamlit.testing.v1 import AppTest

from compression.core.compress import compress
from compression.data.images import ImageSet
from compression.evaluation.evaluation import Evaluation, evaluate
from compression.library import recovered
from compression.library.recovered import Recovered, all_recovered
from compression.networks.model import FloatModel
from compression.paths import PROJECT
from compression.results import landscape
from compression.results.bits_by_sparsity import arrange
from compression.results.costs import Costs, costs
from compression.results.pareto import Point, most_accurate, pareto_front, recovered_pairs, smallest
from compression.results.prune_or_quantize import Way, best_of_each_way
from compression.results.store import Key, Store
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from compression.spec.grid import GRID_BITS, grid, prune_specs
from compression.spec.title import full_title, title
from pages.ui import wording
from pages.ui.charts.tradeoffs.front import OUTLINE_PIXELS, RECOVERED, Limits
from pages.ui.charts.tradeoffs.marks import ELSEWHERE
from pages.ui.compute import accuracy, experiments
from pages.ui.tradeoffs import answers, comparison_tables, front, pins
from tests.pages.conftest import until
from tests.pages.test_app import damaged_data
from tests.pages.test_more_settings import link_of

MODEL = "simple_cnn"
SPARSITIES = (0.0, 0.5, 0.8)
COSTS = Costs(10, 5, 40, 40, 40, 40, 40, 1, 1)
KEPT = (
    *(accuracy.store, accuracy.evaluator, experiments._scanner, experiments._sweeper),
    *(experiments._measured, experiments._recovered_point),
)


@pytest.fixture(autouse=True)
def own_store(own_results: None, nothing_beforehand: None) -> Iterator[None]:
    """The laboratory looks where this test keeps its results, and knows no others."""
    for cache in KEPT:
        cache.clear()
    yield
    for cache in KEPT:
        cache.clear()


@pytest.fixture
def swept(simple_cnn: FloatModel, test_images: ImageSet) -> None:
    """Made-up predictions, the worse the smaller the file: the page does not know."""
    kept, labels = Store(), test_images.labels
    for number, spec in enumerate(grid(MODEL, GRID_BITS, prune_specs(SPARSITIES))):
        predictions = labels.clone()
        wrong = 1500 + 97 * number
        predictions[:wrong] = (labels[:wrong] + 1) % 10
        key, file = Key.of(simple_cnn, spec), 400_000 - 18_000 * number
        kept.put(key, Evaluation(predictions.to(torch.uint8), labels, test_images.classes, 9000, 1.0))
        kept.put_costs(key, Costs(1000, 1000 - 40 * number, 4000, 1000, 800, 700, file, 5000, 80000))


def opened(**link: str) -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    for key, value in ({"model": MODEL} | link).items():
        page.query_params[key] = value
    page.switch_page("pages/tradeoffs.py")
    page.run()
    assert not page.exception
    return page


def points() -> tuple[Point, ...]:
    return experiments.known_results(MODEL).points


def said(page: AppTest) -> str:
    assert not page.exception
    return "\n".join(each.value for each in [*page.markdown, *page.caption, *page.info, *page.warning])


def traces(page: AppTest) -> list[dict]:
    return json.loads(page.get("plotly_chart")[0].proto.spec)["data"]


def test_a_stale_landscape_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(landscape, "FOLDER", tmp_path)
    (tmp_path / f"{MODEL}.parquet").write_bytes(b"not a landscape")
    assert f"The committed landscape of {MODEL} cannot be read" in said(opened())


def test_the_best_within_the_budgets_are_named(swept):
    page = opened(bytes="270 kB")
    before = next(point for point in points() if point.spec == CompressionSpec(MODEL))
    for drop in (1.0, 3.5):
        page.slider(key="drop").set_value(drop).run()
        found = smallest(points(), before.accuracy - drop / 100 - 1e-9)
        assert f"The smallest file within {drop:g} point" in said(page)
        assert f"**{title(found.spec)}**, {wording.size(found.file_bytes)}" in said(page)
    found = most_accurate(points(), 270_000)
    assert f"**{title(found.spec)}**, {wording.size(found.file_bytes)}" in said(page)


def test_where_nothing_is_within_the_budgets_that_is_said(swept):
    limits = Limits(1.0, 10)
    least = min(points(), key=lambda point: point.file_bytes)
    assert answers.smallest_in_words(None, 0.0, limits, MODEL, False) == (
        "No measured spec is within 0 points of float."
    )
    assert wording.size(least.file_bytes) in answers.best_in_words(None, points(), limits, False)


def test_every_spec_is_a_point_and_the_front_is_drawn(swept):
    page = opened()
    shown = traces(page)
    clouds = [trace for trace in shown if "customdata" in trace]
    assert sorted(name for cloud in clouds for (name,) in cloud["customdata"]) == sorted(each.name for each in points())
    (stairs,) = [trace for trace in shown if trace["name"] == "Pareto front"]
    assert stairs["x"] == [point.file_bytes for point in pareto_front(points())]
    assert f"{len(points())} specs, each measured on all 10,000 test images" in said(page)
    assert set(front.landmarks(points())) == {"float", "int8"}


def test_what_recovery_wins_is_an_arrow_and_a_number(swept, simple_cnn, test_images):
    spec = CompressionSpec(MODEL, weights=QuantSpec(2))
    recovered = replace(spec, rounding="compensated", correct_bias=True)
    before, labels = next(point for point in points() if point.spec == spec), test_images.labels
    assert recovered_pairs(points()) == []
    assert RECOVERED not in [trace["name"] for trace in traces(opened())]
    store, key = Store(), Key.of(simple_cnn, recovered)
    predictions = labels.clone()
    predictions[:1000] = (labels[:1000] + 1) % 10
    store.put(key, Evaluation(predictions.to(torch.uint8), labels, test_images.classes, 9500, 1.0))
    store.put_costs(key, Costs(1000, 900, 4000, 1000, 800, 700, 20_000, 5000, 80000))
    page = opened()
    (arrows,) = [trace for trace in traces(page) if trace["name"] == RECOVERED]
    assert arrows["x"] == [before.file_bytes, 20_000, None]
    assert arrows["y"] == [before.accuracy, 0.9, None]
    assert f"{wording.points(0.9 - before.accuracy)} by recovery" in said(page)  # it is the answer to both budgets


@pytest.fixture
def trained(own_store: None, monkeypatch: pytest.MonkeyPatch) -> list[Recovered]:
    """The networks of the gallery that were trained from MODEL; what was measured beforehand is there."""
    monkeypatch.setattr(landscape, "FOLDER", landscape.ASSETS / "landscape")
    return [each for each in all_recovered() if each.lineage.parent == MODEL]


def test_networks_that_were_trained_from_it_are_points_with_an_outline(trained):
    page, one = opened(), trained[0]
    name = Point(CompressionSpec(one.name), COSTS, 1, 1).name
    (cloud,) = [trace for trace in traces(page) if [name] in trace.get("customdata", ())]
    place = cloud["customdata"].index([name])
    assert cloud["name"] == "float weights"  # it is sparse, and not quantized
    assert (cloud["x"][place], cloud["y"][place]) == (one.nbytes, one.lineage.accuracy)
    assert f"<b>{MODEL}, {one.steps}</b>" in cloud["text"][place]
    assert cloud["marker"]["line"]["width"].count(OUTLINE_PIXELS) == len(trained)
    (arrows,) = [trace for trace in traces(page) if trace["name"] == RECOVERED]
    assert (one.nbytes, one.lineage.accuracy) in zip(arrows["x"], arrows["y"], strict=True)
    assert f"{len(points())} specs and {len(trained)} networks recovered by training, each measured" in said(page)


def test_a_network_that_was_trained_is_pinned_and_compared_with_float(trained):
    one = trained[0]
    name = Point(CompressionSpec(one.name), COSTS, 1, 1).name
    page = opened(view="Compare", pins=name)
    shown = page.dataframe[0].value.iloc[0]
    before = next(point for point in points() if point.spec == CompressionSpec(MODEL))
    assert (shown["Network"], shown["Spec"]) == (MODEL, one.steps)
    assert shown["Against float"] == wording.points(one.lineage.accuracy - before.accuracy)


@pytest.mark.parametrize("content", [None, b"broken"], ids=["deleted", "damaged"])
def test_a_trained_network_whose_file_is_gone_or_damaged_is_no_point(trained, monkeypatch, tmp_path, content):
    shutil.copytree(recovered.GALLERY, tmp_path / "gallery")
    file = tmp_path / "gallery" / trained[0].path.name
    monkeypatch.setattr(recovered, "GALLERY", tmp_path / "gallery")
    here = all_recovered()
    monkeypatch.setattr(experiments, "all_recovered", lambda: here)
    file.unlink() if content is None else file.write_bytes(content)
    names = {point.spec.model for point in experiments.recovered_points([MODEL])}
    assert names == {each.name for each in trained[1:]}


def test_of_a_trained_network_itself_the_axis_has_ticks_and_nothing_is_called_float(trained):
    page = opened(model=trained[0].name)
    assert "within 1 point of the recovered network" in said(page)
    assert "1 network recovered by training, each measured" in said(page)
    layout = json.loads(page.get("plotly_chart")[0].proto.spec)["layout"]
    low, high = (10**end for end in layout["xaxis"]["range"])
    assert sum(low <= tick <= high for tick in layout["xaxis"]["tickvals"]) >= 2
    assert layout["annotations"] == []


def test_published_results_stand_beside_ours_and_have_no_details(swept, monkeypatch):
    page = opened()
    (crosses,) = [trace for trace in traces(page) if trace["name"] == ELSEWHERE]
    assert dict(zip(crosses["text"], crosses["x"], strict=True)) == {"LilNetX": 66_000, "MIRACLE": 168_000}
    assert all("not measured here" in text for text in crosses["hovertext"])
    state = {front.POINTS: SimpleNamespace(selection=SimpleNamespace(points=[{"x": 66_000, "y": 0.915}]))}
    monkeypatch.setattr(front.st, "session_state", state)
    front._click()
    assert front.CLICKED not in state


def test_several_networks_are_told_apart(swept):
    page = opened(also="cnn3")
    assert "of simple_cnn in float" in said(page)
    assert page.multiselect(key="also").value == ["cnn3"]


def test_a_point_that_was_clicked_opens_in_explore_and_is_pinned(swept):
    spec = CompressionSpec(MODEL, PruneSpec(sparsity=0.5), QuantSpec(4))
    (point,) = [point for point in points() if point.spec == spec]
    page = opened()
    page.session_state["clicked"] = point.name
    page.run()
    assert f"**{full_title(spec)}**: {wording.percent(point.accuracy, 2)}" in said(page)
    (opening,) = [each.proto for each in page.get("page_link") if each.proto.label == "Open in Explore"]
    assert {key: values[0] for key, values in parse_qs(opening.query_string).items()} == link_of(spec)
    page.button(key="pin").click().run()
    page.run()
    assert page.query_params["pins"] in (point.name, [point.name])
    page.button(key="unpin").click().run()
    page.run()
    assert "pins" not in page.query_params


def test_pins_of_a_link_are_compared_and_unknown_ones_told(swept):
    chosen = [points()[0], points()[5]]
    page = opened(view="Compare", pins=",".join([chosen[0].name, "nobody:12345678", chosen[1].name]))
    shown = page.dataframe[0].value
    results = [experiments.known_results(MODEL).results[point.spec] for point in chosen]
    assert shown.equals(comparison_tables.numbers(results, {MODEL: experiments.known_results(MODEL).before}))
    assert "1 of the pinned specs in the link were not measured here" in said(page)
    page.button(key="unpin all").click().run()
    assert "No spec is pinned yet" in said(page)


def test_at_most_eight_are_pinned(swept):
    page = opened(view="Compare", pins=",".join(point.name for point in points()[:12]))
    assert len(page.dataframe[0].value) == pins.MOST


def test_the_duel_names_the_winners_and_the_chance(swept):
    page = opened(view="Equal bytes", bytes="390 kB")
    winners = best_of_each_way(points(), 390_000)
    shown = {metric.label: metric.value for metric in page.metric}
    for label, way in (("Pruned, float weights", Way.PRUNED), ("Quantized, not pruned", Way.QUANTIZED)):
        assert shown[label] == wording.percent(winners[way].accuracy, 2)
    assert "McNemar" in said(page)


def test_the_map_marks_the_settings(swept):
    page = opened(view="Bits by sparsity", bits="4", sparsity="0.5")
    cells, frame = traces(page)
    found = arrange(points())
    shown = cells["text"][found.bits.index(4)][found.sparsities.index(0.5)]
    assert shown == f"{100 * found.cells[4, 0.5].accuracy:.1f}"
    assert (frame["x"], frame["y"]) == ([found.sparsities.index(0.5)], [found.bits.index(4)])
    assert "marks your settings: 4 bits" in said(page)
    page = opened(view="Bits by sparsity", bits="4", scheme="affine")
    assert len(traces(page)) == 1
    assert "not on this map" in said(page)


def _spec(bits: int, sparsity: float) -> CompressionSpec:
    return CompressionSpec(MODEL, PruneSpec(sparsity=sparsity), QuantSpec(bits))


def test_a_sweep_says_how_many_and_what_it_measures_appears(simple_cnn, test_images, here):
    page = opened(view="Sweep")
    page.multiselect(key="sweep_bits").set_value(["4"])
    page.multiselect(key="sweep_sparsities").set_value([0.55]).run()
    page.run()
    specs = grid(MODEL, (4,), prune_specs((0.55,)))
    assert f"{len(specs)} specs" in said(page)
    assert "on this machine" in said(page)
    page.button(key="sweep").click().run()
    until(page, lambda: {point.spec for point in points()} >= set(specs))
    page.run()
    assert "all measured" in said(page)
    assert "sweep stop" not in {button.key for button in page.button}
    (point,) = [point for point in points() if point.spec == _spec(4, 0.55)]
    expected = evaluate(compress(simple_cnn.module, point.spec).module, test_images, simple_cnn.normalization)
    assert (point.correct, point.costs) == (expected.correct, costs(simple_cnn, point.spec))
    assert not point.precomputed


def test_without_images_the_sweep_says_what_to_do(tmp_path):
    with damaged_data(tmp_path):
        page = opened(view="Sweep")
    assert "is not a whole Parquet file" in said(page)
    assert "sweep" not in {button.key for button in page.button}
