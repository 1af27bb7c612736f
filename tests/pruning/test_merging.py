"""Merged filters: equal ones merge without error, similar ones with an error that is reported, others never."""

import copy
from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import AgglomerativeClustering
from torch import Tensor, nn

from compression.core.compress import compress
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel
from compression.pruning.deduplication import merge_duplicates
from compression.pruning.merging import chains, merge_filters, relative_error, ward
from compression.pruning.proof import SmallerNetwork
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from tests.support.networks import images, network

ARCHS = ["simple_cnn", "cnn3", "resnet20", "resnet20-a", "vgg"]


def answers(module: nn.Module, seed: int = 7) -> Tensor:
    with torch.inference_mode():
        return module(torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed)))


def widths(smaller: SmallerNetwork) -> dict[str, int]:
    return {layer.layer: layer.after for layer in smaller.layers if layer.after < layer.before}


def double_filters(module: nn.Module) -> nn.Module:
    """Returns a copy in which the last filter of each layer of `chains` equals the first one."""
    module = copy.deepcopy(module)
    for name, _ in chains(module):
        layer = module.get_submodule(name)
        layer.weight.data[-1] = layer.weight.data[0]
        if layer.bias is not None:
            layer.bias.data[-1] = layer.bias.data[0]
    return module


# ---- clusters


def squared_error(rows: Tensor, clusters: Tensor) -> float:
    return sum(
        float((rows[clusters == c] - rows[clusters == c].mean(0)).square().sum()) for c in clusters.unique().tolist()
    )


def test_clusters_on_paper() -> None:
    """1 and 2 are joined first, then 10 and 12, then all."""
    rows = torch.tensor([[1.0], [10.0], [2.0], [12.0]]).double()
    assert [ward(rows, k).tolist() for k in (4, 3, 2, 1)] == [[0, 1, 2, 3], [0, 1, 0, 2], [0, 1, 0, 1], [0, 0, 0, 0]]


def test_ties_of_distances_merge_the_first_pair() -> None:
    rows = torch.tensor([[0.0], [1.0], [2.0], [3.0]]).double()
    assert ward(rows, 3).tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize("n", [2, 7, 40])
def test_clusters_are_those_of_scikit_learn(n: int) -> None:
    rows = torch.randn(n, 5, generator=torch.Generator().manual_seed(n)).double()
    for k in {1, n // 3 or 1, n - 1}:
        theirs = AgglomerativeClustering(k, linkage="ward").fit_predict(rows.numpy())
        ours = ward(rows, k).tolist()
        assert len(set(zip(ours, theirs.tolist(), strict=True))) == len(set(ours)) == k


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=2, max_size=8))
def test_the_first_merge_has_the_smallest_error_of_all_pairs(values: list[int]) -> None:
    rows = torch.tensor(values).double()[:, None]
    pairs = [abs(one - other) ** 2 / 2 for one, other in combinations(values, 2)]
    assert squared_error(rows, ward(rows, len(rows) - 1)) == pytest.approx(min(pairs))


# ---- which layers


@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        ("simple_cnn", [("conv1", "conv2"), ("conv2", "fc1"), ("fc1", "fc2")]),
        ("cnn3", [("conv1", "conv2"), ("conv2", "conv3"), ("conv3", "fc1"), ("fc1", "fc2")]),
        ("resnet8", [(f"layer{stage}.0.conv1", f"layer{stage}.0.conv2") for stage in (1, 2, 3)]),
        ("mobilenetv2", []),
    ],
)
def test_a_chain_is_a_layer_that_one_other_alone_reads(arch: str, expected: list[tuple[str, str]]) -> None:
    assert chains(fold_batch_norm(network(arch))) == expected


def test_a_chain_allows_only_operations_that_keep_channels_apart_and_no_depthwise_layers() -> None:
    conv = lambda **kwargs: nn.Conv2d(4, 4, 1, **kwargs)
    module = nn.Sequential(
        conv(), nn.ReLU(), conv(), nn.BatchNorm2d(4), conv(), conv(groups=4), conv(), nn.Softmax(1), conv()
    )
    assert chains(module) == [("0", "2")]


def test_layers_that_share_their_weights_are_no_chain() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    assert chains(module) == [("0", "2"), ("2", "4")]
    module[4].weight = module[0].weight
    assert chains(module) == []
    again = nn.Linear(4, 4)
    assert chains(nn.Sequential(again, nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), again)) == []


def test_a_network_without_chains_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="nothing can be merged"):
        merge_filters(fold_batch_norm(network("mobilenetv2")), 0.5)


# ---- laws


@pytest.mark.parametrize("arch", ARCHS)
def test_equal_filters_become_one_and_nothing_else_changes(arch: str) -> None:
    twice = double_filters(fold_batch_norm(network(arch)))
    smaller = merge_duplicates(twice, images(1))
    expected = answers(twice)
    assert widths(smaller) == {name: len(twice.get_submodule(name).weight) - 1 for name, _ in chains(twice)}
    assert smaller.remaining == ()
    torch.testing.assert_close(answers(smaller.module), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert smaller.largest_difference <= 1e-5 * float(expected.abs().max())
    assert smaller.after.macs < smaller.before.macs


@pytest.mark.parametrize("arch", ARCHS)
def test_merging_equal_filters_alone_changes_no_bit(arch: str) -> None:
    twice = double_filters(fold_batch_norm(network(arch)))
    least = max(len(twice.get_submodule(name).weight) for name, _ in chains(twice))
    merged = merge_filters(twice, 1 / least)
    assert torch.equal(answers(merged.module), answers(twice))
    assert all(layer.error == 0 for layer in merged.layers if len(layer.clusters) == least)


def test_the_mean_of_a_cluster_on_paper() -> None:
    module = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 1))
    module[0].weight.data = torch.tensor([[1.0], [5.0], [2.0]])
    module[0].bias.data = torch.tensor([0.0, 0.0, 1.0])
    module[2].weight.data = torch.tensor([[10.0, 20.0, 30.0]])
    merged = merge_filters(module, 0.5)
    [layer] = merged.layers
    assert merged.module[0].weight.flatten().tolist() == [1.5, 5.0, 1.5]
    assert merged.module[0].bias.tolist() == [0.5, 0.0, 0.5]
    assert layer.clusters.tolist() == [0, 1, 0]
    assert layer.error == pytest.approx((0.25 * 4) / (1 + 25 + 4 + 1))
    smaller = merge_duplicates(merged.module.eval(), torch.ones(1, 1))
    assert smaller.module[2].weight.tolist() == [[40.0, 20.0]]
    assert (smaller.module[0].out_features, smaller.module[2].in_features) == (2, 2)


@pytest.mark.parametrize("arch", ARCHS)
def test_merging_removes_the_share_of_each_layer_and_leaves_the_original_unchanged(arch: str) -> None:
    small = fold_batch_norm(network(arch))
    before = {name: value.clone() for name, value in small.state_dict().items()}
    tied = merge_filters(small, 0.3)
    smaller = merge_duplicates(tied.module, images(1))
    sizes = {name: len(small.get_submodule(name).weight) for name, _ in chains(small)}
    assert widths(smaller) == {name: n - int(0.3 * n) for name, n in sizes.items()}
    assert {layer.name: int(layer.clusters.max()) + 1 for layer in tied.layers} == widths(smaller)
    assert all(0 < layer.error < 1 for layer in tied.layers)
    assert all(torch.equal(before[name], value) for name, value in small.state_dict().items())


def test_the_error_grows_with_the_share(simple_cnn: FloatModel) -> None:
    shares = [0.1, 0.3, 0.5, 0.9]
    errors = [[layer.error for layer in merge_filters(simple_cnn.module, share).layers] for share in shares]
    assert all(one <= other for less, more in pairwise(errors) for one, other in zip(less, more, strict=True))
    assert relative_error(torch.ones(2), torch.ones(2)) == 0


def test_a_chain_that_mixes_channels_fails_the_verification() -> None:
    class Liar(nn.Module):
        CHAINS = (("one", "other"),)

        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(3, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.other(self.one(x).flip(1).cumsum(1))

    twice = double_filters(Liar())
    smaller = merge_duplicates(twice, torch.ones(1, 3))
    assert (smaller.channels_removed, smaller.largest_difference) == (0, 0)
    [rest] = smaller.remaining
    assert (rest.layer, rest.channels) == ("one", 1)
    assert "outputs differ by up to" in rest.why


# ---- as part of a spec


def test_a_spec_merges_before_it_prunes_and_quantizes(simple_cnn: FloatModel) -> None:
    spec = CompressionSpec("simple_cnn", PruneSpec(threshold=0.05), QuantSpec(4), fold_bn=True, merge=0.25)
    compressed = compress(simple_cnn.module, spec)
    tied = merge_filters(simple_cnn.module, 0.25).module
    expected = compress(tied, CompressionSpec("simple_cnn", PruneSpec(threshold=0.05), QuantSpec(4)))
    for one, other in zip(compressed.layers, expected.layers, strict=True):
        assert torch.equal(one.weight, other.weight)
    assert torch.equal(compressed.module.conv1.bias, tied.conv1.bias)
    assert widths(merge_duplicates(compressed.module, images(1))) == {"conv1": 12, "conv2": 24, "fc1": 96}


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, float("nan")])
def test_a_share_that_leaves_no_filter_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="merge must be at least 0 and below 1"):
        CompressionSpec("m", fold_bn=True, merge=share)


def test_merging_needs_folded_batch_norm_and_merging_nothing_is_nothing() -> None:
    with pytest.raises(ValueError, match="merge needs batch norm folded into the filters first"):
        CompressionSpec("m", merge=0.5)
    with pytest.raises(ValueError, match="and the order fold-first"):
        CompressionSpec("m", None, QuantSpec(4), fold_bn=True, order="quantize-first", merge=0.5)
    assert CompressionSpec("m", merge=0) == CompressionSpec("m")
