"""The sketch of weights that a browser computes from."""

import pytest
import torch

from compression.core.compress import compress
from compression.inspect.sketch import BINS, sketch_weights
from compression.networks.bundled import load_bundled
from compression.networks.weights import compressible_weights
from compression.spec import CompressionSpec, PruneSpec


def test_bins_on_paper() -> None:
    """Magnitudes are counted in units of the largest of their channel, negative ones apart, zeros not at all."""
    weight = torch.tensor([[-4.0, 1.0, 0.0, 2.001], [0.5, 0.5, -0.25, 0.0001]])
    (layer,) = sketch_weights({"fc": weight}).layers
    assert layer.weights == 8
    assert layer.tiny == 1
    assert layer.peaks.tolist() == [4, 0.5]
    bins = [{bin: int(count) for bin, count in enumerate(row) if count} for row in layer.counts]
    assert bins == [{BINS - 1: 1, BINS + BINS // 4: 1, BINS + BINS // 2: 1}, {BINS // 2: 1, 2 * BINS - 1: 2}]


def test_a_channel_of_zeros_is_empty() -> None:
    (layer,) = sketch_weights({"fc": torch.zeros(2, 3)}).layers
    assert layer.counts.sum() == 0
    assert layer.peaks.tolist() == [0, 0]


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("percent", [0, 1, 29, 57, 99, 100])
def test_thresholds_are_those_that_pruning_finds(scope: str, percent: int) -> None:
    module = load_bundled("simple_cnn").module
    sketch = sketch_weights({name: weight.channels_first for name, weight in compressible_weights(module).items()})
    compressed = compress(module, CompressionSpec("simple_cnn", PruneSpec(sparsity=percent / 100, scope=scope)))
    for layer, record in zip(sketch.layers, compressed.layers, strict=True):
        threshold = (sketch if scope == "global" else layer).thresholds[percent]
        magnitudes = record.original.detach().abs()
        below, ties = int((magnitudes < threshold).sum()), int((magnitudes == threshold).sum())
        assert below <= record.pruned <= below + ties  # of equal magnitudes, some may be pruned
