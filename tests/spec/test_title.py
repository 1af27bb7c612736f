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
        (CompressionSpec("net", PruneSpec(sparsity=0.125, scope=Scope.LAYER)), "12.5 % sparse in each layer"),
        (CompressionSpec("net", PruneSpec(threshold=0.02)), "threshold 0.02"),
        (CompressionSpec("net", PruneSpec(threshold=2, unit=Unit.STDS)), "threshold 2 stds"),
        (CompressionSpec("net", PruneSpec(structure=Structure.N_M)), "2:4"),
        (CompressionSpec("net", PruneSpec(sparsity=0.3, structure=Structure.FILTER)), "30 % of the filters pruned"),
        (CompressionSpec("net", PruneSpec(sparsity=0.3, criterion="taylor")), "30 % sparse by taylor"),
        (CompressionSpec("net", weights=QuantSpec(3, Scheme.K_MEANS, Granularity.TENSOR)), "k-means 3 bits by tensor"),
        (CompressionSpec("net", weights=QuantSpec(2, Scheme.TERNARY)), "ternary"),
        (CompressionSpec("net", weights=QuantSpec(16, Scheme.STEP, step=0.02)), "step 0.02"),
        (CompressionSpec("net", weights=QuantSpec(4, granularity="group", group_size=32)), "4 bits by groups of 32"),
        (
            CompressionSpec("net", weights=QuantSpec(4, clip=Clip.KL, only=Only.CONV, skip_ends=True)),
            "4 bits clipped by kl in conv layers but the ends",
        ),
        (CompressionSpec("net", layers=(LayerSpec("fc", 4),)), "1 layer of its own"),
        (
            CompressionSpec("net", weights=QuantSpec(8), activations=ActivationSpec(8), fold_bn=True),
            "8 bits, 8-bit inputs, folded",
        ),
        (CompressionSpec("net", weights=QuantSpec(8), fold_bn=True, order=Order.QUANTIZE_FIRST), "8 bits, folded last"),
        (CompressionSpec("net", fold_bn=True, merge=0.1), "folded, 10 % of the filters merged"),
        (
            CompressionSpec("net", PruneSpec(sparsity=0.8), reestimate_bn=True),
            "80 % sparse, batch norm re-estimated",
        ),
    ],
)
def test_all_that_is_not_as_ever_is_said(spec: CompressionSpec, words: str) -> None:
    assert title(spec) == words


def test_specs_of_the_landscape_have_titles_of_their_own() -> None:
    titles = [title(spec) for spec in landscape_specs("net")]
    assert len(titles) == len(set(titles))
