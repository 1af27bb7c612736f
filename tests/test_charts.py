"""The charts that are handed to Plotly as they are, unchecked at run time."""

import plotly.graph_objects as go
import pytest

from compression.compress import compress
from compression.histogram import weight_view
from compression.models import zoo
from compression.size import measure
from compression.spec import CompressionSpec, Granularity, PruneSpec, QuantSpec
from pages.ui import charts

SPECS = (
    CompressionSpec("resnet20"),
    CompressionSpec("resnet20", PruneSpec(sparsity=0.5), QuantSpec(4)),
    CompressionSpec("resnet20", PruneSpec(sparsity=0.9), QuantSpec(2, granularity=Granularity.TENSOR)),
)


@pytest.mark.parametrize("spec", SPECS)
def test_plotly_finds_nothing_wrong_with_them(spec):
    compressed = compress(zoo.load_bundled("resnet20").module, spec)
    size = measure(compressed)
    for drawing in (
        charts.weights(weight_view(compressed), "all"),
        charts.layer_bytes(size.layers, size.best_name),
        charts.layer_sparsity([layer.facts for layer in compressed.layers]),
    ):
        assert go.Figure(drawing.to_dict()).data


def test_a_bin_with_one_weight_is_seen_and_an_empty_one_is_not():
    view = weight_view(compress(zoo.load_bundled("resnet20").module, SPECS[1]))
    drawing = charts.weights(view, "all").to_dict()
    foot = 10 ** drawing["layout"]["yaxis"]["range"][0]
    for trace, histogram in zip(drawing["data"], (view.before, view.after), strict=False):
        assert trace["customdata"] == histogram.counts
        assert [height > foot for height in trace["y"]] == [count > 0 for count in histogram.counts]
