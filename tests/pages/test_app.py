"""The pages, driven without a browser: what they show is what `compression` computes."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from compression.core.compress import compress
from compression.data import images as data
from compression.data.images import ImageSet
from compression.data.images import load as real_load
from compression.evaluation.evaluation import evaluate
from compression.lessons.methods import METHODS, explanation
from compression.networks.bundled import bundled_names, load_bundled
from compression.paths import PROJECT
from compression.results import landscape
from compression.spec import CompressionSpec, LayerSpec, PruneSpec, QuantSpec, Scheme
from pages.ui import wording
from pages.ui.compute import accuracy, images
from tests.support.pairs import Pairs
from tests.support.sizes import size_texts


@pytest.fixture
def page() -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    page.query_params["model"] = "simple_cnn"
    return page.run()


def metrics(page: AppTest) -> dict[str, str]:
    assert not page.exception
    return {metric.label: metric.value for metric in page.metric}


def test_it_opens_on_the_float_network(page):
    compressed = compress(load_bundled("simple_cnn").module, CompressionSpec("simple_cnn"))
    assert metrics(page)["File size"] in size_texts(compressed)


def test_moving_the_sliders_shows_what_compression_computes(page):
    page.select_slider(key="bits").set_value("4")
    page.slider(key="sparsity").set_value(0.5).run()
    spec = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5), QuantSpec(4))
    compressed = compress(load_bundled("simple_cnn").module, spec)
    shown = metrics(page)
    assert shown["File size"] in size_texts(compressed)
    assert shown["Sparsity"] == wording.percent(compressed.sparsity)


def test_a_threshold_shows_the_sparsity_that_it_comes_to(page):
    page.segmented_control(key="by").set_value("threshold").run()
    page.slider(key="threshold").set_value(0.02).run()
    compressed = compress(load_bundled("simple_cnn").module, CompressionSpec("simple_cnn", PruneSpec(threshold=0.02)))
    assert metrics(page)["Sparsity"] == wording.percent(compressed.sparsity)
    (grey,) = [slider for slider in page.slider if slider.label == "Sparsity"]
    assert grey.disabled
    assert grey.value == pytest.approx(compressed.sparsity, abs=0.005)


def test_a_sparsity_shows_the_threshold_that_it_comes_to(page):
    page.slider(key="sparsity").set_value(0.5).run()
    compressed = compress(load_bundled("simple_cnn").module, CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5)))
    (grey,) = [slider for slider in page.slider if slider.label.startswith("Threshold")]
    assert grey.disabled
    assert grey.value == pytest.approx(min(layer.threshold for layer in compressed.layers), abs=grey.step)


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_the_implied_threshold_leaves_out_layers_with_a_sparsity_of_their_own(scope):
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    page.query_params.update({"model": "simple_cnn", "sparsity": "0.5", "scope": scope, "layers": "conv1:/0"})
    page.run()
    own = (LayerSpec("conv1", sparsity=0.0),)
    spec = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5, scope=scope), layers=own)
    layers = compress(load_bundled("simple_cnn").module, spec).layers
    low, high = (end(layer.threshold for layer in layers if layer.name != "conv1") for end in (min, max))
    assert low > 0
    if scope == "global":
        (grey,) = [slider for slider in page.slider if slider.label.startswith("Threshold")]
        assert grey.value == pytest.approx(low, abs=grey.step)
        assert grey.value > 0
    else:
        assert f"Threshold on |w|: {low:.4f} to {high:.4f}, by layer" in [caption.value for caption in page.caption]


def test_what_float_does_not_need_turns_grey_and_comes_alive_again(page):
    for bits, off in (("float", True), ("4", False), ("3", False), ("float", True)):
        if page.select_slider(key="bits").value != bits:
            page.select_slider(key="bits").set_value(bits).run()
        page.run()
        drawn = page.selectbox(key="scheme"), page.segmented_control(key="granularity")
        assert all(widget.disabled is off for widget in drawn)


CHOICES = {"scheme": tuple(Scheme), "granularity": ("tensor", "channel"), "scope": ("global", "layer")}


@pytest.mark.parametrize("choices", [*Pairs("sliders").rows(CHOICES)], ids=lambda row: "-".join(row.values()))
def test_every_pair_of_choices_survives_the_ends_of_the_sliders(page, choices):
    page.select_slider(key="bits").set_value("2").run()
    page.selectbox(key="scheme").set_value(choices["scheme"])
    for key in ("granularity", "scope"):
        page.segmented_control(key=key).set_value(choices[key])
    page.slider(key="sparsity").set_value(0.99).run()
    assert float(metrics(page)["Sparsity"].split()[0]) >= 99


def test_a_scheme_that_cannot_have_the_bits_of_the_slider_says_which_it_takes(page):
    said = lambda: [caption.value for caption in page.caption if "weights take" in caption.value]
    page.select_slider(key="bits").set_value("4").run()
    assert said() == []
    page.selectbox(key="scheme").set_value(Scheme.TERNARY).run()
    assert said() == ["Ternary weights take 2 bits, not 4."]
    spec = CompressionSpec("simple_cnn", None, QuantSpec(2, "ternary"))
    compressed = compress(load_bundled("simple_cnn").module, spec)
    assert metrics(page)["File size"] in size_texts(compressed)
    page.select_slider(key="bits").set_value("2").run()
    assert said() == []


def test_a_clipped_range_shows_what_compression_computes_and_a_codebook_has_none(page):
    page.select_slider(key="bits").set_value("3").run()
    page.segmented_control(key="granularity").set_value("tensor")
    page.selectbox(key="clip").set_value("percentile").run()
    module = load_bundled("simple_cnn").module
    full, clipped = (
        compress(module, CompressionSpec("simple_cnn", None, QuantSpec(3, granularity="tensor", clip=clip))).sparsity
        for clip in ("full", "percentile")
    )
    assert metrics(page)["Sparsity"] == wording.percent(clipped) != wording.percent(full)
    page.run()
    page.selectbox(key="scheme").set_value("k-means").run()
    assert page.selectbox(key="clip").disabled
    assert not page.exception


@pytest.mark.parametrize(("value", "name"), [("by class", "Per class"), ("confusion", "Confusion")])
def test_a_link_of_an_older_version_opens_the_same_chart(value, name):
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    page.query_params["model"] = "simple_cnn"
    page.query_params["chart"] = value
    page.run()
    assert not page.exception
    assert page.selectbox(key="chart").value == name


def test_every_bundled_network_opens_and_moves():
    for name in bundled_names():
        page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
        page.query_params["model"] = name
        page.query_params["bits"] = "4"
        assert not page.run().exception
        compressed = compress(load_bundled(name).module, CompressionSpec(name, weights=QuantSpec(4)))
        assert metrics(page)["File size"] in size_texts(compressed)


def test_a_network_picked_on_one_page_stays_picked(page):
    page.switch_page("pages/guide.py").run()
    page.switch_page("app.py").run()
    assert page.selectbox(key="model").value == "simple_cnn"


@contextmanager
def damaged_data(folder: Path) -> Iterator[None]:
    """CIFAR-10 is a damaged file in `folder`, for as long as this lasts."""
    (folder / "test-00000-of-00001.parquet").write_bytes(b"not a Parquet file")
    caches = images.test_images, images.load_once
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIFAR10_ROOT", str(folder))
        for cache in caches:
            cache.clear()
        yield
    for cache in caches:
        cache.clear()


def test_a_damaged_data_set_is_told_and_all_else_works(tmp_path, nothing_beforehand):
    with damaged_data(tmp_path):
        page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
    assert metrics(page)["Accuracy"] == "no images"
    assert "is not a whole Parquet file" in page.warning[0].value


def test_without_images_a_stale_landscape_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(landscape, "FOLDER", tmp_path)
    (tmp_path / "simple_cnn.parquet").write_bytes(b"not a landscape")
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    page.query_params["model"] = "simple_cnn"
    with damaged_data(tmp_path):
        page.run()
    assert metrics(page)["Accuracy"] == "no images"
    assert any("The committed landscape of simple_cnn cannot be read" in each.value for each in page.caption)


@pytest.fixture
def a_thousand_images(test_images, monkeypatch) -> Iterator[ImageSet]:
    """The first 1,000 test images are all that there are."""
    few, caches = test_images[:1000], (images.test_images, images.load_once, accuracy.evaluator)
    monkeypatch.setattr(data, "load", lambda: few)
    for cache in caches:
        cache.clear()
    yield few
    for cache in caches:
        cache.clear()


def test_images_that_appear_are_counted_from_the_next_move_on(
    tmp_path, here, nothing_beforehand, a_thousand_images, monkeypatch
):
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    page.query_params["model"] = "simple_cnn"
    with damaged_data(tmp_path), monkeypatch.context() as patch:
        patch.setattr(data, "load", real_load)
        assert metrics(page.run())["Accuracy"] == "no images"
    page.slider(key="sparsity").set_value(0.5).run()
    found = until_exact(page)
    model, spec = load_bundled("simple_cnn"), CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5))
    counted = evaluate(compress(model.module, spec).module, a_thousand_images, model.normalization)
    assert found == wording.percent(counted.accuracy, 2)


def test_a_second_click_on_resume_changes_nothing(page, test_images):
    page.slider(key="sparsity").set_value(0.33).run()
    page.button(key="stop").click().run()
    del page.session_state["stopped"]  # as the first click does
    page.button(key="on").click().run()
    assert not page.exception
    assert page.button(key="stop")


def test_a_python_that_is_too_old_is_refused_in_a_sentence_each_time(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 0, "final", 0))
    monkeypatch.delitem(sys.modules, "pages.ui.supported", raising=False)
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    for _ in range(2):
        assert page.run().error[0].value.startswith("Squeezelab needs Python 3.11 or later, and this is ")
        assert not page.exception


def until_exact(page: AppTest) -> str:
    """Looks again, as a browser does, until the metric is no estimate any more; what it says then.

    Not so often as a browser: here the pages are drawn on the cores that count.
    """
    for _ in range(120):
        found = metrics(page)["Accuracy"]
        if "±" not in found and found != "…":
            return found
        time.sleep(1)
        page.run()
    raise TimeoutError(found)


def test_the_guide_opens(page):
    page.switch_page("pages/guide.py").run()
    assert not page.exception
    assert page.title[0].value == "What the numbers mean"


def test_the_guide_has_the_words_of_every_method(page):
    page.switch_page("pages/guide.py").run()
    written, formulas = ("\n".join(each.value for each in kind) for kind in (page.markdown, page.latex))
    for said in map(explanation, [member for enum in METHODS for member in enum]):
        assert said.text in written
        assert said.fails in written
        assert all(line in formulas for line in said.formula.split(r", \quad"))
        assert said.source in "\n".join(each.value for each in page.caption)
