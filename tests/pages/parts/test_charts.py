"""The charts that are handed to Plotly as they are, unchecked at run time."""

import plotly.graph_objects as go
import pytest
import torch

from compression.core.compress import compress
from compression.data.cifar10 import CLASSES
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.sampling import class_estimates, estimate, plain_order
from compression.files.ledger import count_file
from compression.networks.bundled import load_bundled
from compression.spec import CompressionSpec, Granularity, PruneSpec, QuantSpec
from pages.ui.charts import accuracy as accuracy_charts
from pages.ui.charts import explore, style

SPECS = (
    CompressionSpec("resnet20"),
    CompressionSpec("resnet20", PruneSpec(sparsity=0.5), QuantSpec(4)),
    CompressionSpec("resnet20", PruneSpec(sparsity=0.9), QuantSpec(2, granularity=Granularity.TENSOR)),
)


@pytest.mark.parametrize("spec", SPECS)
def test_plotly_finds_nothing_wrong_with_them(spec):
    compressed = compress(load_bundled("resnet20").module, spec)
    file = count_file(compressed, load_bundled("resnet20"))
    drawing = explore.layers(file, [layer.facts for layer in compressed.layers], style.ink("light"))
    assert go.Figure(drawing.to_dict()).data


@pytest.mark.parametrize("images", [1000, 2000])
def test_accuracy_has_an_interval_as_long_as_it_is_an_estimate(images):
    labels = torch.arange(2000) % 10
    before = Evaluation(labels.to(torch.uint8), labels, CLASSES, in_top5=2000, loss_sum=0.0)
    seen = Evaluation((labels[:images] // 2).to(torch.uint8), labels[:images], CLASSES, in_top5=0, loss_sum=0.0)
    order = plain_order(2000)
    now, classes = estimate(order, seen, before), class_estimates(order, seen, before)
    whole = accuracy_charts.overall(before, now, style.ink("dark"))
    by_class = accuracy_charts.per_class(before, classes, style.ink("dark"))
    for drawing, name in ((whole, "error_x"), (by_class, "error_y")):
        traces = {trace["name"]: trace for trace in drawing.to_dict()["data"]}
        assert go.Figure(drawing.to_dict()).data
        assert (name in traces["compressed"]) == (images < 2000)
        assert name not in traces["float"]
    assert accuracy_charts.overall(None, now, style.ink(None)).to_dict()["data"][0]["x"] == [now.accuracy]
    stored = accuracy_charts.overall(before, now, style.ink("dark"), "stored").to_dict()
    assert "stored" in [trace["name"] for trace in stored["data"]]
