"""The byte ledger: on paper, and how it moves with bits and sparsity."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from compression.core.compress import compress
from compression.files.size import Ledger, Size, count_bytes, packed_bytes
from compression.spec import CompressionSpec, LayerSpec, PruneSpec, QuantSpec

# The network on paper: conv 2x1x2x2 = 8 weights, fc 3x2 = 6. The float rest: conv's 2 biases, fc's 3, and batch
# norm's weight, bias, mean and variance of 2 each: 13 numbers, 52 bytes. All in float32: 4 * (8 + 6 + 13) = 108.
REST = 52


def size(module: nn.Module, *parts, **named) -> Size:
    return count_bytes(compress(module, CompressionSpec("net", *parts, **named)))


@pytest.mark.parametrize(
    ("codes", "bits", "expected"), [(0, 8, 0), (1, 2, 1), (4, 2, 1), (5, 2, 2), (3, 5, 2), (9, 32, 36)]
)
def test_packed_codes_take_whole_bytes(codes: int, bits: int, expected: int) -> None:
    assert packed_bytes(codes, bits) == expected


def test_the_float_network_on_paper(net: nn.Module) -> None:
    found = size(net)
    assert found.float32 == 108
    assert found.dense == Ledger(codes=56, rest=REST)
    assert found.sparse.masks == 2  # and that buys nothing: conv has one zero, fc none
    assert found.sparse.codes == 52


@pytest.mark.parametrize(
    ("quant", "dense"),
    [
        (QuantSpec(4, "symmetric", "channel"), Ledger(codes=4 + 3, scales=(2 + 3) * 4, rest=REST)),
        (QuantSpec(4, "symmetric", "tensor"), Ledger(codes=4 + 3, scales=2 * 4, rest=REST)),
        (QuantSpec(3, "affine", "tensor"), Ledger(codes=3 + 3, scales=2 * (4 + 1), rest=REST)),
        (QuantSpec(9, "affine", "channel"), Ledger(codes=9 + 7, scales=5 * (4 + 2), rest=REST)),
        (QuantSpec(4, "min-max", "channel"), Ledger(codes=4 + 3, scales=5 * (4 + 4), rest=REST)),
        (QuantSpec(4, "power-of-two", "channel"), Ledger(codes=4 + 3, scales=5 * 4, rest=REST)),
        (QuantSpec(2, "k-means", "tensor"), Ledger(codes=2 + 2, scales=2 * 4 * 4, rest=REST)),
        (QuantSpec(2, "ternary", "channel"), Ledger(codes=2 + 2, scales=5 * 4, rest=REST)),
        (QuantSpec(1, "binary", "tensor"), Ledger(codes=1 + 1, scales=2 * 4, rest=REST)),
        (QuantSpec(16, "step", step=0.5), Ledger(codes=5 + 4, scales=2 * (4 + 4), rest=REST)),  # both take 5 bits
    ],
    ids=lambda value: f"{value.scheme}-{value.granularity}" if isinstance(value, QuantSpec) else "",
)
def test_dense_codes_with_their_scales_on_paper(quant: QuantSpec, dense: Ledger, net: nn.Module) -> None:
    assert size(net, None, quant).dense == dense


def test_a_sparse_network_on_paper(net: nn.Module) -> None:
    """A threshold of 0.65 leaves 3 weights of conv and 4 of fc; at 16 bits none of them rounds to zero."""
    found = size(net, PruneSpec(threshold=0.65), QuantSpec(16, "symmetric", "tensor"))
    assert found.sparse == Ledger(codes=3 * 2 + 4 * 2, scales=8, masks=2, rest=REST)
    assert found.dense == Ledger(codes=16 + 12, scales=8, rest=REST)
    assert (found.best_name, found.best) == ("sparse", found.sparse)


@pytest.mark.parametrize(
    ("quant", "scales"),
    [
        (QuantSpec(4, granularity="group", group_size=16), 3 * 4),
        (QuantSpec(4, "affine", "group", group_size=16), 3 * (4 + 1)),
        (QuantSpec(2, "k-means", "group", group_size=16), 3 * 4 * 4),
        (QuantSpec(4, granularity="group", group_size=17), 2 * 4),
        (QuantSpec(4, granularity="group", group_size=40), 1 * 4),
    ],
    ids=lambda value: f"{value.scheme}-{value.group_size}" if isinstance(value, QuantSpec) else "",
)
def test_each_group_of_a_channel_has_a_scale_and_the_rest_at_its_end_too(quant: QuantSpec, scales: int) -> None:
    layer = nn.Linear(34, 5)
    assert size(layer, None, quant).dense == Ledger(codes=packed_bytes(34 * 5, quant.bits), scales=5 * scales, rest=20)


@pytest.mark.parametrize(
    ("quant", "masks"),
    [(QuantSpec(4), 0), (QuantSpec(4, "min-max"), 2), (QuantSpec(2, "ternary"), 0), (QuantSpec(1, "binary"), 2)],
    ids=lambda value: str(getattr(value, "scheme", value)),
)
def test_where_no_code_stands_for_zero_pruned_weights_take_a_mask(quant: QuantSpec, masks: int, net: nn.Module) -> None:
    assert size(net, PruneSpec(threshold=0.65), quant).dense.masks == masks
    assert size(net, None, quant).dense.masks == 0


def test_whole_filters_that_went_take_a_bit_each(net: nn.Module) -> None:
    """Of conv's two filters, of mean |w| 2.25 and 0.325, the second goes: 2 bits, and 4 of 8 weights are left (one of
    them is zero). fc is the last layer: 6 weights, of which none is zero, and a bit each.
    """
    found = size(net, PruneSpec(sparsity=0.5, structure="filter"), QuantSpec(16, "min-max", "tensor"))
    conv, fc = found.layers
    assert conv.sparse == Ledger(codes=4 * 2, scales=8, masks=1)
    assert conv.dense == Ledger(codes=8 * 2, scales=8, masks=1)  # min-max has no code for zero
    assert fc.sparse == Ledger(codes=6 * 2, scales=8, masks=1)


def module_of(weight: torch.Tensor) -> nn.Module:
    module = nn.Sequential(nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], bias=False)).eval()
    with torch.no_grad():
        module[0].weight.copy_(weight)
    return module


@pytest.mark.parametrize(
    ("pattern", "inputs", "masks", "left"),
    [
        ((2, 4), 8, 16 * 3 // 8, 32),  # 4 filters of 2 places: 16 groups, each one of 6 choices, 3 bits
        ((1, 4), 8, 16 * 2 // 8, 16),  # 4 choices, 2 bits
        ((4, 8), 8, 8 * 7 // 8, 32),  # 70 choices, 7 bits
        ((1, 2), 8, 32 // 8, 32),  # 2 choices: 32 groups of 1 bit
        ((2, 4), 11, 16 * 3 // 8, 32 + 24),  # three inputs are left over, 4 * 2 * 3 weights
        ((2, 4), 3, 0, 24),  # too few inputs for a group: nothing went, and nothing need be said
    ],
)
def test_n_of_each_m_take_the_number_of_their_choice(
    pattern: tuple[int, int], inputs: int, masks: int, left: int
) -> None:
    weight = torch.randn(4, inputs, 2, 1, generator=torch.Generator().manual_seed(0)) + 5
    found = size(module_of(weight), PruneSpec(structure="n:m", pattern=pattern))
    assert found.sparse == Ledger(codes=left * 4, masks=masks)
    dense = size(module_of(weight), PruneSpec(structure="n:m", pattern=pattern), QuantSpec(8, "min-max", "tensor"))
    assert dense.dense == Ledger(codes=8 * inputs, scales=8, masks=masks)  # nothing where nothing went


def test_a_bit_a_weight_is_taken_where_that_is_smaller() -> None:
    """Of 8 weights 2:4 leaves 4, and all but one round to zero: 8 bits and a byte beat 6 bits and four bytes."""
    weight = torch.tensor([100.0, 0.1, 0.02, 0.01, 0.1, 0.1, 0.02, 0.01]).view(1, 8, 1, 1)
    found = size(module_of(weight), PruneSpec(structure="n:m"), QuantSpec(8, "symmetric", "tensor"))
    assert found.sparse == Ledger(codes=1, scales=4, masks=1)


def test_a_layer_that_stays_float_is_counted_as_float(net: nn.Module) -> None:
    found = size(net, None, QuantSpec(4, granularity="tensor"), layers=(LayerSpec("fc", bits=32),))
    assert [layer.dense for layer in found.layers] == [Ledger(codes=4, scales=4), Ledger(codes=24)]
    assert [layer.float32 for layer in found.layers] == [32, 24]


def test_ledgers_add_up_item_by_item() -> None:
    assert Ledger(1, 2, 3, 4) + Ledger(10, 20, 30, 40) == Ledger(11, 22, 33, 44)
    assert Ledger(1, 2, 3, 4).total == 10


# ---- laws, on ResNet-20


@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_the_dense_size_falls_with_the_bits(scheme: str, granularity: str, random_resnet: nn.Module) -> None:
    totals = [size(random_resnet, None, QuantSpec(b, scheme, granularity)).dense.total for b in range(16, 1, -1)]
    assert all(fewer < more for more, fewer in pairwise([size(random_resnet).float32, *totals]))


@pytest.mark.parametrize("quant", [None, QuantSpec(8), QuantSpec(4, "affine", "tensor")], ids=["float", "8", "4"])
def test_the_sparse_size_falls_with_the_sparsity(quant: QuantSpec | None, random_resnet: nn.Module) -> None:
    totals = [
        size(random_resnet, PruneSpec(sparsity=s), quant).sparse.total for s in (0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)
    ]
    assert all(fewer < more for more, fewer in pairwise(totals))


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
def test_pruning_alone_leaves_the_dense_size_as_it_was(sparsity: float, random_resnet: nn.Module) -> None:
    """The loudest complaint in the field, and true: zeros in a dense file take as much room as other weights."""
    pruned = size(random_resnet, PruneSpec(sparsity=sparsity), QuantSpec(8))
    assert pruned.dense == size(random_resnet, None, QuantSpec(8)).dense


@pytest.mark.parametrize("prune", [None, PruneSpec(sparsity=0.05), PruneSpec(sparsity=0.9)], ids=["0", "5", "90"])
def test_the_smaller_way_is_the_best(prune: PruneSpec | None, random_resnet: nn.Module) -> None:
    found = size(random_resnet, prune, QuantSpec(8))
    assert found.best.total == min(found.dense.total, found.sparse.total)
    assert found.best is getattr(found, found.best_name)


def test_the_layers_and_the_rest_make_the_whole(random_resnet: nn.Module) -> None:
    found = size(random_resnet, PruneSpec(sparsity=0.5), QuantSpec(4))
    assert sum(layer.dense.total for layer in found.layers) + found.dense.rest == found.dense.total
    assert sum(layer.float32 for layer in found.layers) + found.dense.rest == found.float32


def test_float32_is_four_bytes_for_each_number_that_inference_reads(random_resnet: nn.Module) -> None:
    numbers = sum(p.numel() for p in random_resnet.parameters())
    statistics = sum(b.numel() for name, b in random_resnet.named_buffers() if "running" in name)
    assert size(random_resnet).float32 == 4 * (numbers + statistics)
