"""Titles of specs."""

import pytest

from compression.spec import (
    ActivationSpec,
    Clip,
    CompressionSpec,
    Granularity,
    LayerSpec,
    Only,
    Order,
    PruneSpec,
    QuantSpec,
    Scheme,
    Scope,
    Structure,
    Unit,
)
from compression.spec.grid import landscape_specs
from compression.spec.title import title


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (CompressionSpec("net"), "float"),
        (CompressionSpec("net", weights=QuantSpec(4)), "4 bits"),
        (CompressionSpec("net", PruneSpec(sparsity=0.5), QuantSpec(4)), "4 bits, 50 % sparse"),
        (CompressionSpec("net", PruneSpec(sparsity=0.125, scope=Scope.LAYER)), "12.5 % sparse per layer"),
        (CompressionSpec("net", PruneSpec(threshold=0.02)), "threshold 0.02"),
        (CompressionSpec("net", PruneSpec(threshold=2, unit=Unit.STDS)), "threshold 2 stds"),
        (CompressionSpec("net", PruneSpec(structure=Structure.N_M)), "2:4 sparse"),
        (CompressionSpec("net", PruneSpec(sparsity=0.3, structure=Structure.FILTER)), "30 % of filters pruned"),
        (CompressionSpec("net", PruneSpec(threshold=0.1, structure=Structure.FILTER)), "filter threshold 0.1"),
        (
            CompressionSpec("net", PruneSpec(structure=Structure.N_M, pattern=(1, 4), criterion="taylor")),
            "1:4 sparse, criterion taylor",
        ),
        (CompressionSpec("net", layers=(LayerSpec("a", 4), LayerSpec("b", 4))), "own settings for 2 layers"),
        (CompressionSpec("net", PruneSpec(sparsity=0.3, criterion="taylor")), "30 % sparse, criterion taylor"),
        (CompressionSpec("net", weights=QuantSpec(3, Scheme.K_MEANS, Granularity.TENSOR)), "k-means 3 bits per tensor"),
        (CompressionSpec("net", weights=QuantSpec(2, Scheme.TERNARY)), "ternary"),
        (CompressionSpec("net", weights=QuantSpec(16, Scheme.STEP, step=0.02)), "step 0.02"),
        (CompressionSpec("net", weights=QuantSpec(4, granularity="group", group_size=32)), "4 bits per group of 32"),
        (
            CompressionSpec("net", weights=QuantSpec(4, clip=Clip.KL, only=Only.CONV, skip_ends=True)),
            "4 bits in conv layers only, clipping range kl, first and last layer float",
        ),
        (CompressionSpec("net", layers=(LayerSpec("fc", 4),)), "own settings for 1 layer"),
        (
            CompressionSpec(
                "net", weights=QuantSpec(4), layers=(LayerSpec("a", 32), LayerSpec("b", 32), LayerSpec("c", 6))
            ),
            "4 bits, a and b float, own settings for 1 layer",
        ),
        (
            CompressionSpec("net", weights=QuantSpec(4), layers=tuple(LayerSpec(name, 32) for name in "abc")),
            "4 bits, 3 layers float",
        ),
        (CompressionSpec("net", layers=(LayerSpec("a", 32, 0.5),)), "own settings for 1 layer"),
        (
            CompressionSpec("net", weights=QuantSpec(8), activations=ActivationSpec(8), fold_bn=True),
            "8 bits, 8-bit activations, batch norm folded",
        ),
        (
            CompressionSpec("net", weights=QuantSpec(8), fold_bn=True, order=Order.QUANTIZE_FIRST),
            "8 bits, batch norm folded last",
        ),
        (CompressionSpec("net", fold_bn=True, merge=0.1), "batch norm folded, 10 % of filters merged"),
        (
            CompressionSpec("net", PruneSpec(sparsity=0.8), reestimate_bn=True),
            "80 % sparse, batch norm re-estimated",
        ),
        (
            CompressionSpec("net", weights=QuantSpec(3), rounding="compensated", correct_bias=True),
            "3 bits, compensated rounding, bias corrected",
        ),
        (
            CompressionSpec("net", weights=QuantSpec(8), rounding="rate-aware", rate_penalty=0.5),
            "up to 8 bits, rate-aware rounding, rate penalty 0.5",
        ),
        (
            CompressionSpec("net", PruneSpec(sparsity=0.8), correct_bias=True, reestimate_bn=True, sample_images=4000),
            "80 % sparse, bias corrected, batch norm re-estimated, from 4,000 training images",
        ),
        (
            CompressionSpec("net", PruneSpec(sparsity=0.8), reconstruct=True, repair_activations=True),
            "80 % sparse, survivors moved, activations repaired",
        ),
    ],
)
def test_a_title_names_the_settings_that_differ_from_the_defaults(spec: CompressionSpec, words: str) -> None:
    assert title(spec) == words


def test_no_two_specs_of_the_landscape_have_the_same_title() -> None:
    titles = [title(spec) for spec in landscape_specs("net")]
    assert len(titles) == len(set(titles))
