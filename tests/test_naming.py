"""Specs in words."""

import pytest

from compression.grids import of_landscape
from compression.spec import ActivationSpec, CompressionSpec, LayerSpec, PruneSpec, QuantSpec
from pages.ui import format, naming


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (CompressionSpec("net"), "float"),
        (CompressionSpec("net", PruneSpec(sparsity=0.5), QuantSpec(4)), "4 bits, 50 % sparse"),
        (CompressionSpec("net", weights=QuantSpec(1, "binary", "tensor")), "binary, one scale a tensor"),
        (CompressionSpec("net", weights=QuantSpec(4, "k-means", "group")), "4 bits, k-means, groups of 64"),
        (CompressionSpec("net", weights=QuantSpec(4, clip="stds", clip_at=2)), "4 bits, range stds 2"),
        (CompressionSpec("net", weights=QuantSpec(16, "step", step=0.02)), "steps of 0.02"),
        (CompressionSpec("net", PruneSpec(structure="n:m"), None), "2:4 sparse"),
        (CompressionSpec("net", PruneSpec(sparsity=0.25, structure="filter")), "25 % of filters pruned"),
        (CompressionSpec("net", PruneSpec(threshold=0.01)), "pruned below 0.01"),
        (
            CompressionSpec("net", PruneSpec(sparsity=0.5, scope="layer", criterion="taylor")),
            "50 % sparse, by layer, by taylor",
        ),
        (CompressionSpec("net", layers=(LayerSpec("a", 4),), fold_bn=True), "1 layer otherwise, folded"),
        (CompressionSpec("net", activations=ActivationSpec(8)), "8-bit activations (min-max)"),
    ],
)
def test_a_spec_has_a_name(spec, words):
    assert naming.name(spec).replace(format.NARROW, " ") == words
    assert naming.full_name(spec).replace(format.NARROW, " ") == f"net, {words}"


def test_no_two_of_a_landscape_have_the_same_name():
    specs = of_landscape("net")
    assert len({naming.name(spec) for spec in specs}) == len(specs)
