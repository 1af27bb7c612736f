"""The page Inside: what it shows is what `compression` computes from the predictions."""

import io
import json
import re

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from compression.data.images import ImageSet
from compression.engine.cluster import Engine
from compression.errors import DataMissing
from compression.inside.calibration import measure_reliability
from compression.inside.calls import corruption_calls, layer_calls, report_layers, right_by_condition
from compression.inside.flips import Change, Comparison, Matrix, class_changes, compare, in_cell, sort_surest_first
from compression.inside.inspector import Inspector
from compression.inside.layers import LAYER_IMAGES
from compression.inside.own_image import Crop, read_image
from compression.inside.pictures import to_data_uri
from compression.inside.robustness import class_costs, condition_costs
from compression.inside.saliency import Method
from compression.networks.bundled import load_bundled
from compression.paths import PROJECT
from compression.results.landscape import read_landscape
from compression.spec import CompressionSpec, QuantSpec
from pages.ui import wording
from pages.ui.compute import images
from pages.ui.inside.flips import section
from pages.ui.inside.flips.gallery import TILES
from pages.ui.state.link import FLIPS, SECTIONS
from tests.pages.conftest import until

SPEC = CompressionSpec("simple_cnn", weights=QuantSpec(3))


def opened(**link: str) -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    for key, value in {"model": "simple_cnn", "bits": "3", **link}.items():
        page.query_params[key] = value
    page.switch_page("pages/inside.py").run()
    assert not page.exception
    return page


def comparison(bits: int = 3) -> Comparison:
    landscape = read_landscape(load_bundled("simple_cnn"))
    spec = CompressionSpec("simple_cnn", weights=QuantSpec(bits))
    before, after = landscape.get(CompressionSpec("simple_cnn")), landscape.get(spec)
    assert before
    assert after
    return compare(before.evaluation, after.evaluation)


def gallery(page: AppTest) -> str:
    [html] = [each.proto.body for each in page.get("html") if "inside-gallery" in each.proto.body]
    return html


def numbers(page: AppTest) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"</b> · (\d+)<", gallery(page)))


def test_the_gallery_begins_with_the_lost_image_that_float_is_surest_of(test_images: ImageSet) -> None:
    page = opened()
    change = comparison()
    counts = {metric.label: metric.value for metric in page.metric}
    assert counts["Lost"] == f"{change.counts[Change.LOST]:,}"
    assert counts["Won"] == f"{change.counts[Change.WON]:,}"
    assert numbers(page) == sort_surest_first(change, change.changes[Change.LOST])[:TILES]
    assert gallery(page).count("<img ") == TILES


def test_a_filter_and_a_cell_of_the_matrix_choose_the_images(test_images: ImageSet) -> None:
    change = comparison()
    cats = change.changes[Change.LOST] & (change.labels == 3)
    page = opened(true_class="cat", gallery="2")
    assert numbers(page) == sort_surest_first(change, cats)[TILES : 2 * TILES]
    page = opened(cell="3-5", matrix=Matrix.AFTER)
    assert numbers(page) == sort_surest_first(change, in_cell(change, Matrix.AFTER, 3, 5))[:TILES]
    page.button(key="clear cell").click().run()
    assert not page.exception
    assert numbers(page) == sort_surest_first(change, change.changes[Change.LOST])[:TILES]


def test_an_image_of_the_gallery_is_opened_in_the_section_image(test_images: ImageSet) -> None:
    page = opened()
    second = numbers(page)[1]
    page.pills(key="open image").set_value(second).run()
    assert not page.exception
    assert page.number_input(key="picture").value == second
    assert f"Test image {second}, a picture of class" in maps_of(page)


@pytest.mark.parametrize("kind", FLIPS)
def test_every_kind_of_flip_has_a_gallery(kind: str, test_images: ImageSet) -> None:
    assert numbers(opened(flips=kind))


def test_links_of_cells_and_classes_that_do_not_exist_show_all_images(test_images: ImageSet) -> None:
    assert numbers(opened(cell="12-3", true_class="unicorn", gallery="999"))
    assert section.cell_of("3-12", 10) is None
    assert section.cell_of("3-9", 10) == (3, 9)


def test_the_classes_are_those_that_lose_most(test_images: ImageSet) -> None:
    page = opened(section="Classes")
    table = page.dataframe[0].value
    assert list(table["Class"]) == [each.name for each in class_changes(comparison())]
    assert list(table["Lost"]) == [each.lost for each in class_changes(comparison())]


@pytest.mark.parametrize("section", SECTIONS)
def test_the_float_network_loses_nothing(section: str, test_images: ImageSet) -> None:
    page = opened(bits="float", section=section)
    assert {metric.label: metric.value for metric in page.metric}["Lost"] == "0"


@pytest.fixture
def no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "test_images", lambda: DataMissing("there are no test images"))


def test_without_images_flips_work_from_predictions_and_the_page_offers_the_pictures(no_images: None) -> None:
    page = opened()
    change = comparison()
    assert numbers(page) == sort_surest_first(change, change.changes[Change.LOST])[:TILES]
    assert gallery(page).count("no picture<") == TILES
    assert "<img " not in gallery(page)
    assert page.button(key="download").label == "Download 24 MB"


def test_without_images_settings_that_were_not_measured_have_a_sentence(no_images: None) -> None:
    page = opened(scheme="k-means", granularity="group")
    assert any("were not measured beforehand" in each.value for each in page.caption)
    assert not page.get("html") or all("inside-gallery" not in each.proto.body for each in page.get("html"))


def test_confidence_is_known_once_the_workers_have_the_probabilities(test_images: ImageSet, here: Engine) -> None:
    page = opened(section="Confidence")
    page.button(key="calibration start").click().run()
    until(page, lambda: len(page.table) == 1)
    table = page.table[0].value
    before = read_landscape(load_bundled("simple_cnn")).get(CompressionSpec("simple_cnn"))
    assert before
    half = before.evaluation.right[1::2].float().mean()
    assert len(table.columns) == 3  # more do not fit beside the chart
    assert table.set_index("Measure")["Float"]["Accuracy"] == wording.percent(float(half))


def test_the_calibration_error_is_measured_against_bits_and_sparsity(
    test_images: ImageSet, training_images: ImageSet, here: Engine
) -> None:
    page = opened(section="Confidence", images="500")
    page.button(key="calibration curve start").click().run()

    def curves() -> list[dict]:
        """The other charts of the section are there or not, by what was measured before."""
        charts = [json.loads(each.proto.spec) for each in page.get("plotly_chart")]
        return [chart for chart in charts if "calibration error" in json.dumps(chart).lower()]

    until(page, lambda: len(curves()) == 2)
    bits, sparsity = curves()
    assert bits["data"][0]["x"] == ["float", "8", "6", "5", "4", "3", "2"]
    model = load_bundled("simple_cnn")
    logits = model.module(model.normalization(test_images.pixels[:500]))
    expected = measure_reliability(logits, test_images.labels[:500]).expected_error
    assert bits["data"][0]["y"][0] == pytest.approx(expected, abs=1e-4)
    assert len(bits["data"]) == len(sparsity["data"]) == 2  # as it is, and scaled on training images


def test_corruptions_are_counted_by_workers_and_resumed_where_they_were_stopped(
    test_images: ImageSet, here: Engine
) -> None:
    page = opened(section="Corruptions", images="500")
    assert not page.dataframe
    page.button(key="corruptions start").click().run()
    until(page, lambda: len(page.dataframe) == 1)
    parts = [
        corruption_calls(here, load_bundled("simple_cnn"), spec, test_images, 500)
        for spec in (CompressionSpec("simple_cnn"), SPEC)
    ]
    *_, last = Inspector(here).follow(*parts)
    before, after = (right_by_condition(each, 500) for each in (last.results[:36], last.results[36:]))
    classes = class_costs(before, after, test_images.labels[:500], test_images.classes)
    table = page.dataframe[0].value
    assert list(table["Class"]) == [each.name for each in classes]
    assert list(table["Corrupted images"]) == [wording.points(each.corrupted) for each in classes]
    clean = wording.points(condition_costs(before, after)[0].change.mean)
    assert any(f"changes the accuracy by {clean} [" in each.value for each in page.markdown)


@pytest.mark.parametrize("method", Method)
def test_both_networks_predict_and_explain_one_image(method: Method, test_images: ImageSet, here: Engine) -> None:
    page = opened(section="Image", picture="7", explanation=method)
    until(page, lambda: maps_of(page).count("<img ") == 3)
    html = maps_of(page)
    assert html.count("<img ") == html.count(" alt=")
    name = test_images.classes[int(comparison().before[7])]
    assert page.table[0].value["First"].iloc[0].startswith(name)
    assert f"{method} of the compressed network for the class {name}" in html


@pytest.mark.parametrize("method", Method)
def test_the_maps_of_networks_that_are_equal_are_equal(method: Method, test_images: ImageSet, here: Engine) -> None:
    page = opened(section="Image", bits="float", explanation=method)
    until(page, lambda: maps_of(page).count("<img ") == 3)
    _, before, after = re.findall('src="([^"]+)"', maps_of(page))
    assert before == after


def maps_of(page: AppTest) -> str:
    [html] = [each.proto.body for each in page.get("html") if "inside-maps" in each.proto.body]
    return html


def test_without_images_an_image_of_the_reader_is_explained(no_images: None) -> None:
    page = opened(section="Image")
    assert any("upload an image of your own" in each.value for each in page.caption)
    page.file_uploader(key="own image").set_value(("mine.png", png(), "image/png")).run()
    assert not page.exception
    [html] = [each.proto.body for each in page.get("html") if "inside-maps" in each.proto.body]
    assert "Your image" in html
    page.file_uploader(key="own image").set_value(("broken.png", png()[:60], "image/png")).run()
    assert not page.exception
    assert page.error[0].value.startswith("This file cannot be used: the image is damaged")


def test_the_crop_decides_what_the_network_sees(no_images: None) -> None:
    page = opened(section="Image")
    page.file_uploader(key="own image").set_value(("mine.png", png(), "image/png")).run()
    whole = first_picture(page)
    page.slider(key="crop size").set_value(20).run()
    page.slider(key="crop down").set_value(100).run()
    assert not page.exception
    assert first_picture(page) != whole
    assert first_picture(page) == to_data_uri(read_image(png(), 32, 32, Crop(0.2, 0.5, 1.0)))


def first_picture(page: AppTest) -> str:
    return re.findall('src="([^"]+)"', maps_of(page))[0]


def test_the_outputs_of_a_layer_are_shown_at_once_and_its_noise_is_measured_by_workers(
    test_images: ImageSet, here: Engine
) -> None:
    page = opened(section="Layers", picture="7", layer="conv2")
    [html] = [each.proto.body for each in page.get("html") if "inside-channels" in each.proto.body]
    assert html.count("<img ") == html.count("channels of layer conv2") == 3
    page.button(key="layer signals start").click().run()
    until(page, lambda: any("moves the logits most" in each.value for each in page.markdown))
    model = load_bundled("simple_cnn")
    *_, last = Inspector(here).follow(layer_calls(here, model, SPEC, test_images, LAYER_IMAGES))
    report = report_layers(last.results)
    words = f"**{report.noisiest.name}** moves the logits most: by {report.noisiest.alone_change:.2f}"
    assert any(words in each.value for each in page.markdown)


def test_without_test_images_the_layers_of_the_readers_own_image_are_shown(no_images: None) -> None:
    page = opened(section="Layers")
    page.file_uploader(key="own image").set_value(("mine.png", png(), "image/png")).run()
    assert not page.exception
    [html] = [each.proto.body for each in page.get("html") if "inside-channels" in each.proto.body]
    assert "channels of layer conv1, Your image" in html
    assert any("noise of each layer is measured on test images" in each.value for each in page.caption)


def test_flipped_bits_are_counted_by_workers(test_images: ImageSet, here: Engine) -> None:
    page = opened(section="Bit flips", images="500", bits="4")
    page.button(key="bit flips start").click().run()
    until(page, lambda: len(page.table) == 1)
    table = page.table[0].value
    assert list(table["Storage"]) == ["float32", "8-bit codes", "4-bit codes"]
    right = comparison(4).compressed.right[:500].float().mean()
    assert table["Accuracy"].iloc[-1].startswith(wording.percent(float(right)))
    assert table["Bit"].iloc[0] == "30"
    assert any("were refused when it was read" in each.value for each in page.markdown)


def png() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, "PNG")
    return file.getvalue()
