"""The pages, driven without a browser: what they show is what `compression` computes."""

import pytest
from streamlit.testing.v1 import AppTest

from compression.compress import compress
from compression.data import PROJECT
from compression.models import zoo
from compression.size import measure
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from pages.ui import format


@pytest.fixture
def page() -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    page.query_params["model"] = "simple_cnn"
    return page.run()


def metrics(page: AppTest) -> dict[str, str]:
    assert not page.exception
    return {metric.label: metric.value for metric in page.metric}


def test_it_opens_on_the_float_network(page):
    size = measure(compress(zoo.load_bundled("simple_cnn").module, CompressionSpec("simple_cnn")))
    assert metrics(page)["Size"] == format.size(size.float32)


def test_moving_the_sliders_shows_what_compression_computes(page):
    page.select_slider(key="bits").set_value("4")
    page.slider(key="sparsity").set_value(0.5).run()
    spec = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5), QuantSpec(4))
    compressed = compress(zoo.load_bundled("simple_cnn").module, spec)
    shown = metrics(page)
    assert shown["Size"] == format.size(measure(compressed).best.total)
    assert shown["Sparsity"] == format.percent(compressed.sparsity)


def test_a_threshold_shows_the_sparsity_that_it_comes_to(page):
    page.segmented_control(key="by").set_value("threshold").run()
    page.slider(key="threshold").set_value(0.02).run()
    compressed = compress(
        zoo.load_bundled("simple_cnn").module, CompressionSpec("simple_cnn", PruneSpec(threshold=0.02))
    )
    assert metrics(page)["Sparsity"] == format.percent(compressed.sparsity)
    (grey,) = [slider for slider in page.slider if slider.label == "Sparsity"]
    assert grey.disabled
    assert grey.value == pytest.approx(compressed.sparsity, abs=0.005)


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_every_choice_survives_the_ends_of_the_sliders(page, scope, scheme, granularity):
    page.select_slider(key="bits").set_value("2").run()
    page.segmented_control(key="scheme").set_value(scheme)
    page.segmented_control(key="granularity").set_value(granularity)
    page.segmented_control(key="scope").set_value(scope)
    page.slider(key="sparsity").set_value(0.99).run()
    assert float(metrics(page)["Sparsity"].split()[0]) >= 99


def test_one_layer_can_be_looked_at(page):
    page.selectbox(key="layer").set_value("fc2").run()
    assert not page.exception
    assert page.selectbox(key="layer").value == "fc2"


def test_accuracy_is_counted_on_the_first_thousand_images_and_then_on_all(page, test_images):
    assert "first 1,000 test images" in " ".join(caption.value for caption in page.caption)
    page.button(key="everything").click().run()
    assert "all 10,000 test images" in " ".join(caption.value for caption in page.caption)
    stated = zoo.load_bundled("simple_cnn").accuracy
    assert metrics(page)["Accuracy"].startswith(f"{100 * stated:.1f}")


def test_the_guide_opens(page):
    page.switch_page("pages/guide.py").run()
    assert not page.exception
    assert page.title[0].value == "What the numbers mean"
