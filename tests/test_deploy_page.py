"""The Deploy page, driven without a browser."""

import json
import time

import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from compression.cifar10 import DataMissing
from compression.compress import compress
from compression.data import PROJECT
from compression.latency import Latency
from compression.models import zoo
from compression.size import measure
from compression.spec import CompressionSpec, QuantSpec
from compression.stopwatch import Stopwatch
from compression.variants import Kind
from pages.ui import charts, charts_deploy, compute, deploy_answer, format

MODEL = "simple_cnn"


@pytest.fixture(autouse=True)
def no_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accuracy has its own tests, and counting takes the cores from these."""
    monkeypatch.setattr(compute, "test_images", lambda: DataMissing("there are no test images"))


def opened(**link: str) -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    for key, value in {"model": MODEL, **link}.items():
        page.query_params[key] = value
    page.switch_page("pages/deploy.py")
    return page.run()


def test_the_page_counts_what_compression_counts_and_offers_what_needs_no_work():
    page = opened(bits="4")
    assert not page.exception
    compressed = compress(zoo.load_bundled(MODEL).module, CompressionSpec(MODEL, weights=QuantSpec(4)))
    metrics = {metric.label: metric.value for metric in page.metric}
    assert metrics["Size"] == format.size(measure(compressed).best.total)
    assert any("the same bits" in each.value for each in page.markdown)
    labels = [button.label for button in page.get("download_button")]
    assert any(label.startswith("Script") for label in labels)
    assert not page.dataframe


def test_a_click_has_files_made_and_timed(here, monkeypatch):
    quick = Stopwatch({1: 2, 64: 1})
    monkeypatch.setattr(compute, "_stopwatch", lambda: quick)
    page = opened(bits="8")
    page.button(key="deploy").click().run()
    while "Time again" not in [button.label for button in page.button]:
        assert not page.exception
        time.sleep(0.2)
        page.run()
    table = page.dataframe[0].value.set_index("File")
    assert list(table.index) == list(deploy_answer.FILES.values())
    assert table["In int8"]["Int8"] == "2 of 2"
    assert table["1 image"]["Float"].endswith("ms")
    assert any("Int8 is" in each.value for each in page.markdown)
    titles = [json.loads(chart.proto.spec)["layout"]["title"]["text"] for chart in page.get("plotly_chart")]
    assert any("One image, 1 thread" in title for title in titles)


def test_plotly_finds_nothing_wrong_with_the_chart():
    found = [Latency(kind, 64, 2, 1.5, 2.0, 20) for kind in Kind]
    drawing = charts_deploy.latencies(found, {kind.value: kind.value for kind in Kind}, charts.ink("dark"))
    assert list(go.Figure(drawing.to_dict()).data[0].x) == [1.5] * len(Kind)
