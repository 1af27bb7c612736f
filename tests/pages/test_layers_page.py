"""The page of layers, driven without a browser: what it shows is what `compression` computes."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from compression.core.compress import compress
from compression.networks.bundled import load_bundled
from compression.paths import PROJECT
from compression.spec import CompressionSpec, LayerSpec, PruneSpec, QuantSpec
from compression.spec.recipe import from_json, to_link
from pages.ui.compute import experiments
from pages.ui.layers import editor, scan
from tests.pages.conftest import until
from tests.pages.test_app import damaged_data
from tests.pages.test_more_settings import link_of
from tests.support.sizes import size_texts

MODEL = "simple_cnn"
FOUR_BITS = QuantSpec(4)
OWN = (LayerSpec("conv1", 8), LayerSpec("fc1", 2, 0.5))


def opened(**link: str) -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    for key, value in ({"model": MODEL} | link).items():
        page.query_params[key] = value
    page.switch_page("pages/layers.py")
    return page.run()


def metrics(page: AppTest) -> dict[str, str]:
    assert not page.exception
    return {metric.label: metric.value for metric in page.metric}


def sizes_of(spec: CompressionSpec) -> tuple[str, str]:
    return size_texts(compress(load_bundled(spec.model).module, spec))


def table(page: AppTest) -> list[tuple[str, str, float | None]]:
    rows = page.dataframe[0].value
    sparsities = [None if value != value else value for value in rows["Sparsity"].astype(float)]
    return list(zip(rows["Layer"], rows["Bits"], sparsities, strict=True))


def test_it_opens_with_all_layers_alike():
    page = opened(bits="4")
    assert metrics(page)["File size"] in sizes_of(CompressionSpec(MODEL, weights=FOUR_BITS))
    assert metrics(page)["Bits per weight"] == "4.00"
    assert {bits for _, bits, _ in table(page)} == {editor.DEFAULT}


def test_a_link_says_what_layers_have_of_their_own():
    page = opened(bits="4", layers=to_link(OWN))
    spec = CompressionSpec(MODEL, weights=FOUR_BITS, layers=OWN)
    assert metrics(page)["File size"] in sizes_of(spec)
    assert table(page) == [
        ("conv1", "8", None),
        ("conv2", "default", None),
        ("fc1", "2", 50),
        ("fc2", "default", None),
    ]
    assert page.query_params["layers"] == "conv1:8,fc1:2/0.5"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("conv1", "Layer conv1: give bits, sparsity, or both"),
        ("conv9:4", "Simple_cnn has no layer 'conv9'"),
        ("conv1:99", "Bits must be a whole number in 2..16, got 99"),
    ],
)
def test_a_damaged_link_is_told_and_the_page_works(text, words):
    page = opened(layers=text)
    assert words in page.toast[0].value
    assert metrics(page)["File size"] in sizes_of(CompressionSpec(MODEL))
    assert "layers" not in page.query_params


def test_what_layers_have_of_their_own_survives_a_change_of_page():
    page = opened(bits="4", layers=to_link(OWN))
    before = metrics(page)["File size"]
    page.switch_page("app.py").run()
    page.switch_page("pages/layers.py").run()
    assert metrics(page)["File size"] == before


def test_another_network_has_layers_of_its_own():
    page = opened(layers="conv1:8,fc1:4")
    page.selectbox(key="model").set_value("cnn3").run()
    assert metrics(page)["File size"] in sizes_of(CompressionSpec("cnn3"))
    assert not page.toast
    page.run()
    assert "layers" not in page.query_params


def test_all_alike_again():
    page = opened(layers=to_link(OWN))
    page.button(key="alike").click().run()
    assert metrics(page)["File size"] in sizes_of(CompressionSpec(MODEL))
    assert {bits for _, bits, _ in table(page)} == {editor.DEFAULT}


def test_cells_become_what_a_layer_has_of_its_own():
    changed = editor._edited_layer
    assert changed("a", None, {"Bits": "8"}) == LayerSpec("a", 8)
    assert changed("a", LayerSpec("a", 8), {"Sparsity": 50}) == LayerSpec("a", 8, 0.5)
    assert changed("a", LayerSpec("a", 8), {"Bits": "float"}) == LayerSpec("a", 32)
    assert changed("a", LayerSpec("a", 8, 0.5), {"Bits": "default"}) == LayerSpec("a", None, 0.5)
    assert changed("a", LayerSpec("a", 8), {"Bits": "default"}) is None
    assert changed("a", LayerSpec("a", None, 0.5), {"Sparsity": None}) is None


@pytest.mark.parametrize("scheme", ["ternary", "binary", "k-means"])
def test_a_scheme_that_cannot_have_a_layers_bits_gives_it_the_nearest(scheme):
    page = opened(bits="4", scheme=scheme, layers="conv1:16,conv2:4,fc1:float")
    assert page.toast
    page = opened(bits="4", scheme=scheme, layers="conv1:16,conv2:32")
    assert not page.toast
    assert metrics(page)["File size"] not in sizes_of(CompressionSpec(MODEL))
    assert any("conv1 gets the nearest" in caption.value for caption in page.caption)


def test_a_recipe_opens_as_the_link_that_it_is():
    spec = CompressionSpec(MODEL, PruneSpec(sparsity=0.3, scope="layer"), FOUR_BITS, OWN, fold_bn=False)
    page = opened(**link_of(from_json(spec.to_json())))
    assert metrics(page)["File size"] in sizes_of(spec)
    assert page.query_params["layers"] == "conv1:8,fc1:2/0.5"


def test_what_is_assigned_leaves_the_rest_of_a_layer():
    before = (LayerSpec("a", 8, 0.5), LayerSpec("b", None, 0.1))
    assert scan.merged(before, (LayerSpec("a", 4), LayerSpec("b", 2), LayerSpec("c", 3))) == [
        LayerSpec("a", 4, 0.5),
        LayerSpec("b", 2, 0.1),
        LayerSpec("c", 3),
    ]


def test_the_settings_of_a_scan_are_those_that_the_scheme_can_have():
    bits = lambda scheme: [
        spec.weights.bits for spec in scan.columns(CompressionSpec(MODEL, weights=QuantSpec(2, scheme)), scan.BY_BITS)
    ]
    assert bits("affine") == [8, 6, 5, 4, 3, 2]
    assert bits("ternary") == [2]


def test_a_scan_fills_the_heat_map_and_bits_are_assigned_within_the_budget(test_images, here, nothing_beforehand):
    page = opened(bits="8")
    assert page.button(key="assign").disabled
    page.button(key="stop").click().run()  # the count, which goes before the scan
    page.button(key="scan start").click().run()
    specs = scan.columns(CompressionSpec(MODEL, weights=QuantSpec(8)), scan.BY_BITS)
    until(page, lambda: not page.button(key="assign").disabled)
    reading = experiments.scan(specs, go=False)
    assert reading.done
    figure = json.loads(page.get("plotly_chart")[0].proto.spec)
    shown = figure["data"][0]["text"]
    for layer, row in zip(reading.scan.layers, shown, strict=True):
        for spec, text in zip(specs, row, strict=True):
            drop = reading.before.accuracy - reading.cells[layer, spec].accuracy
            assert float(text) == pytest.approx(100 * drop, abs=0.051)
    page.button(key="assign").click().run()
    assert float(metrics(page)["Bits per weight"]) <= 4
    assert "default" not in [bits for _, bits, _ in table(page)]


def test_a_damaged_data_set_is_told_and_all_else_works(tmp_path, nothing_beforehand):
    with damaged_data(tmp_path):
        page = opened(bits="4")
    shown = metrics(page)
    assert shown["Accuracy"] == "no images"
    assert shown["File size"] in sizes_of(CompressionSpec(MODEL, weights=FOUR_BITS))
    assert "is not a whole Parquet file" in page.warning[0].value
