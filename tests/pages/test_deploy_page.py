"""The Deploy page, driven without a browser."""

import json
import re
from dataclasses import replace

import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from compression.core.compress import compress
from compression.deploy.latency import Latency
from compression.deploy.stopwatch import Stopwatch
from compression.deploy.variants import VariantKind
from compression.errors import DataMissing
from compression.files.ledger import FileLedger, LayerBytes, encode_file, explain_size
from compression.files.packed_file import pack_layers
from compression.files.rivals import count_rivals
from compression.networks.bundled import load_bundled
from compression.paths import PROJECT
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from pages.ui import wording
from pages.ui.charts import deploy as deploy_charts
from pages.ui.charts import style
from pages.ui.compute import deploy, images, networks
from pages.ui.deploy import answer
from tests.pages.conftest import until
from tests.support.sizes import file_bytes, size_texts

MODEL = "simple_cnn"


@pytest.fixture(autouse=True)
def no_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accuracy has its own tests, and counting takes the cores from these."""
    monkeypatch.setattr(images, "test_images", lambda: DataMissing("there are no test images"))


def charts_of(page: AppTest) -> dict[str, list[dict]]:
    """Title -> traces."""
    specs = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    titles = [[spec["layout"]["title"], *spec["layout"].get("annotations", [])] for spec in specs]
    return {
        next(filter(None, (re.sub("</?b>", "", each["text"]) for each in title))): spec["data"]
        for title, spec in zip(titles, specs, strict=True)
    }


def opened(**link: str) -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    for key, value in {"model": MODEL, **link}.items():
        page.query_params[key] = value
    page.switch_page("pages/deploy.py")
    return page.run()


def test_the_page_counts_what_compression_counts_and_offers_what_needs_no_work():
    page = opened(bits="4")
    assert not page.exception
    compressed = compress(load_bundled(MODEL).module, CompressionSpec(MODEL, weights=QuantSpec(4)))
    metrics = {metric.label: metric.value for metric in page.metric}
    assert metrics["File size"] in size_texts(compressed)
    assert any("re-read bit for bit" in each.value for each in page.markdown)
    labels = [button.label for button in page.get("download_button")]
    assert any(label.startswith("Script") for label in labels)
    assert "File" not in page.dataframe[0].value


def test_the_waterfall_ends_at_the_bytes_of_the_file(simple_cnn):
    spec = CompressionSpec(MODEL, PruneSpec(sparsity=0.5), QuantSpec(4))
    content, ledger = encode_file(compress(simple_cnn.module, spec), simple_cnn)
    page = opened(bits="4", by="sparsity", sparsity="0.5")
    off, _, into, numbers = charts_of(page)["Savings on the weights"]
    assert off["base"][-1] + off["y"][-1] == into["y"][0]
    assert off["y"][0] == sum(layer.weights for layer in ledger.layers) * 4
    assert sum(into["y"][:5]) == into["y"][5] == len(content)
    assert numbers["text"][5] == wording.size(len(content))
    assert into["y"][6] == round(ledger.bound)
    assert any(each.value.startswith(explain_size(ledger)) for each in page.markdown)
    table = page.dataframe[0].value.set_index("Layer")
    assert list(table["Bytes"]) == [layer.total for layer in ledger.layers]


def test_other_compressors_are_compared_where_the_reader_asks(simple_cnn):
    network = compress(simple_cnn.module, CompressionSpec(MODEL, weights=QuantSpec(4)))
    rivals = dict(count_rivals(pack_layers(network), simple_cnn))
    page = opened(bits="4")
    table = page.toggle(key="rivals").set_value(True).run().dataframe[1].value.set_index("Compressor")
    own = table["Bytes"]["This file"]
    assert own == file_bytes(network)
    assert table["Bytes"].drop("This file").to_dict() == rivals
    assert table["Bytes"].drop("This file").is_monotonic_increasing


def test_a_network_that_no_file_can_name_has_none_and_the_page_says_why(simple_cnn, monkeypatch):
    stranger = replace(simple_cnn, about={})
    deploy.packed_file.clear()
    monkeypatch.setattr(networks, "float_model", lambda name: stranger)
    page = opened(bits="4")
    assert any("no packed file: simple_cnn has no known architecture" in each.value for each in page.caption)
    assert page.get("download_button")[0].disabled
    assert not any("Verified: decoded weights are identical" in each.value for each in page.markdown)
    deploy.packed_file.clear()


def test_the_packed_file_comes_first_with_its_size_and_its_proof(simple_cnn):
    spec = CompressionSpec(MODEL, weights=QuantSpec(4))
    content, _ = encode_file(compress(simple_cnn.module, spec), simple_cnn)
    page = opened(bits="4")
    assert page.get("download_button")[0].label == f"Packed, {wording.size(len(content))}"
    assert any("Verified: decoded weights are identical" in each.value for each in page.markdown)


def test_a_click_has_files_made_and_timed(here, monkeypatch):
    quick = Stopwatch({1: 2, 64: 1})
    monkeypatch.setattr(deploy, "_stopwatch", lambda: quick)
    page = opened(bits="8")
    page.button(key="deploy").click().run()
    until(page, lambda: "Time again" in [button.label for button in page.button])
    table = page.dataframe[-1].value.set_index("File")
    assert list(table.index) == [name for kind, name in answer.FILES.items() if kind is not VariantKind.SMALLER]
    assert table["In int8"]["Int8"] == "2 of 2"
    assert table["1 image"]["Float"].endswith("ms")
    assert any("Int8 is" in each.value for each in page.markdown)
    assert "One image, 1 thread" in charts_of(page)


def test_half_of_the_filters_is_offered_only_by_a_switch_and_where_no_filters_are_pruned():
    page = opened(bits="8")
    switch = page.toggle(key="fewer_filters")
    assert not switch.value
    names = lambda: [button.label for button in page.get("download_button")]
    assert "ONNX smaller" not in names()
    switch.set_value(True).run()
    assert "ONNX smaller" in names()
    page = opened(bits="8", structure="filter", sparsity="0.3", by="sparsity")
    assert "fewer_filters" not in [each.key for each in page.toggle]
    assert "ONNX smaller" in names()


def test_plotly_finds_nothing_wrong_with_latencies():
    found = [Latency(kind, 64, 2, 1.5, 2.0, 20) for kind in VariantKind]
    drawing = deploy_charts.latencies(found, {kind.value: kind.value for kind in VariantKind}, style.ink("dark"))
    assert list(go.Figure(drawing.to_dict()).data[0].x) == [1.5] * len(VariantKind)


@pytest.mark.parametrize("left", [0, 1000])
def test_plotly_finds_nothing_wrong_with_the_waterfall(left):
    fc = LayerBytes("fc", 1000, left, 8, "dense", left, 0, 0, 100, float(left))
    figure = go.Figure(deploy_charts.waterfall(FileLedger(4200, (fc,), 200, 100), style.ink("light")).to_dict())
    assert figure.data[2].y[5] == left + 400
