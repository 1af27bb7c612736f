"""The in-memory size: worked out by hand, and how it changes with bits and sparsity."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from compression.core.compress import compress
from compression.files.size import Ledger, Mask, Size, count_bytes, packed_bytes, possible_masks
from compression.spec import CompressionSpec, LayerSpec, PruneSpec, QuantSpec

# The network `net`: conv has 2x1x2x2 = 8 weights, fc 3x2 = 6. The float rest has 13 numbers, 52 bytes: conv's 2 biases,
# fc's 3, and batch norm's weight, bias, mean and variance of 2 each. All in float32: 4 * (8 + 6 + 13) = 108 bytes.
REST = 52


def size(module: nn.Module, *parts, **settings) -> Size:
    return count_bytes(compress(module, CompressionSpec("net", *parts, **settings)))


@pytest.mark.parametrize(
    ("codes", "bits", "expected"), [(0, 8, 0), (1, 2, 1), (4, 2, 1), (5, 2, 2), (3, 5, 2), (9, 32, 36)]
)
def test_packed_codes_take_whole_bytes(codes: int, bits: int, expected: int) -> None:
    assert packed_bytes(codes, bits) == expected


def test_the_size_of_the_float_network(net: nn.Module) -> None:
    sizes = size(net)
    assert sizes.float32 == 108
    assert sizes.dense == Ledger(codes=56, rest=REST)
    assert sizes.sparse.masks == 2  # which saves little: conv has one zero, fc none
    assert sizes.sparse.codes == 52


@pytest.mark.parametrize(
    ("quant", "dense"),
    [
        (QuantSpec(4, "symmetric", "channel"), Ledger(codes=4 + 3, scales=(2 + 3) * 4, rest=REST)),
        (QuantSpec(4, "symmetric", "tensor"), Ledger(codes=4 + 3, scales=2 * 4, rest=REST)),
        (QuantSpec(3, "affine", "tensor"), Ledger(codes=3 + 3, scales=2 * (4 + 1), rest=REST)),
        (QuantSpec(9, "affine", "channel"), Ledger(codes=9 + 7, scales=5 * (4 + 2), rest=REST)),
        (QuantSpec(4, "min-max", "channel"), Ledger(codes=4 + 3, scales=5 * (4 + 4), masks=1, rest=REST)),
        (QuantSpec(4, "power-of-two", "channel"), Ledger(codes=4 + 3, scales=5 * 4, rest=REST)),
        (QuantSpec(2, "k-means", "tensor"), Ledger(codes=2 + 2, scales=2 * 4 * 4, masks=1, rest=REST)),
        (QuantSpec(2, "ternary", "channel"), Ledger(codes=2 + 2, scales=5 * 4, rest=REST)),
        (QuantSpec(1, "binary", "tensor"), Ledger(codes=1 + 1, scales=2 * 4, masks=1, rest=REST)),
        (QuantSpec(16, "step", step=0.5), Ledger(codes=5 + 4, scales=2 * (4 + 4), rest=REST)),  # both take 5 bits
    ],
    ids=lambda value: f"{value.scheme}-{value.granularity}" if isinstance(value, QuantSpec) else "",
)
def test_the_size_of_dense_codes_with_their_scales(quant: QuantSpec, dense: Ledger, net: nn.Module) -> None:
    """One of the weights of conv is zero and stays so, with a mask where no code stands for zero."""
    assert size(net, None, quant).dense == dense


def test_the_size_of_a_sparse_network(net: nn.Module) -> None:
    """A threshold of 0.65 keeps 3 weights of conv and 4 of fc; with 16 bits none of them rounds to zero."""
    sizes = size(net, PruneSpec(threshold=0.65), QuantSpec(16, "symmetric", "tensor"))
    assert sizes.sparse == Ledger(codes=3 * 2 + 4 * 2, scales=8, masks=2, rest=REST)
    assert sizes.dense == Ledger(codes=16 + 12, scales=8, rest=REST)
    assert (sizes.best_name, sizes.best) == ("sparse", sizes.sparse)


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
def test_each_group_of_a_channel_has_a_scale_and_so_has_a_shorter_last_group(quant: QuantSpec, scales: int) -> None:
    layer = nn.Linear(34, 5)
    assert size(layer, None, quant).dense == Ledger(codes=packed_bytes(34 * 5, quant.bits), scales=5 * scales, rest=20)


@pytest.mark.parametrize(
    ("quant", "masks"),
    [(QuantSpec(4), 0), (QuantSpec(4, "min-max"), 2), (QuantSpec(2, "ternary"), 0), (QuantSpec(1, "binary"), 2)],
    ids=lambda value: str(getattr(value, "scheme", value)),
)
def test_pruned_weights_take_a_mask_if_no_code_stands_for_zero(quant: QuantSpec, masks: int, net: nn.Module) -> None:
    assert size(net, PruneSpec(threshold=0.65), quant).dense.masks == masks
    assert size(net, None, quant).dense.masks == masks / 2  # one weight of conv is zero, none of fc


def test_the_mask_of_pruned_filters_takes_one_bit_per_filter(net: nn.Module) -> None:
    """Of conv's two filters, with mean |w| 2.25 and 0.325, the second is pruned: 2 bits, and 4 of 8 weights remain. One
    of them is zero, so where no code stands for zero, the mask has one bit for each weight, and 3 weights have codes.
    fc is the last layer: 6 weights, none of them zero, with one bit each.
    """
    prune = PruneSpec(sparsity=0.5, structure="filter")
    conv, fc = size(net, prune, QuantSpec(16, "affine", "tensor")).layers
    assert possible_masks(compress(net, CompressionSpec("m", prune)).layers[0]) == [Mask(8, 3), Mask(2, 4)]
    assert conv.sparse == Ledger(codes=3 * 2, scales=4 + 2, masks=1)
    conv, fc = size(net, prune, QuantSpec(16, "min-max", "tensor")).layers
    assert conv.sparse == Ledger(codes=3 * 2, scales=8, masks=1)
    assert conv.dense == Ledger(codes=8 * 2, scales=8, masks=1)  # min-max has no code for zero
    assert fc.sparse == Ledger(codes=6 * 2, scales=8, masks=1)


def module_of(weight: torch.Tensor) -> nn.Module:
    module = nn.Sequential(nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], bias=False)).eval()
    with torch.no_grad():
        module[0].weight.copy_(weight)
    return module


@pytest.mark.parametrize(
    ("pattern", "inputs", "masks", "survivors"),
    [
        ((2, 4), 8, 16 * 3 // 8, 32),  # 4 filters of 2 positions: 16 groups with 6 choices, 3 bits each
        ((1, 4), 8, 16 * 2 // 8, 16),  # 4 choices, 2 bits
        ((4, 8), 8, 8 * 7 // 8, 32),  # 70 choices, 7 bits
        ((1, 2), 8, 32 // 8, 32),  # 2 choices: 32 groups of 1 bit
        ((2, 4), 11, 16 * 3 // 8, 32 + 24),  # three inputs beyond the last group, 4 * 2 * 3 weights
        ((2, 4), 3, 0, 24),  # too few inputs for a group: nothing is pruned, and no mask is needed
    ],
)
def test_the_mask_of_n_of_every_m_takes_one_number_per_group(
    pattern: tuple[int, int], inputs: int, masks: int, survivors: int
) -> None:
    weight = torch.randn(4, inputs, 2, 1, generator=torch.Generator().manual_seed(0)) + 5
    sizes = size(module_of(weight), PruneSpec(structure="n:m", pattern=pattern))
    assert sizes.sparse == Ledger(codes=survivors * 4, masks=masks)
    dense = size(module_of(weight), PruneSpec(structure="n:m", pattern=pattern), QuantSpec(8, "min-max", "tensor"))
    assert dense.dense == Ledger(codes=8 * inputs, scales=8, masks=masks)  # no mask if nothing is pruned


def test_a_mask_of_one_bit_per_weight_is_used_if_it_is_smaller() -> None:
    """2:4 pruning keeps 4 of 8 weights, and all but one round to zero: 8 bits and a byte beat 6 bits and four bytes."""
    weight = torch.tensor([100.0, 0.1, 0.02, 0.01, 0.1, 0.1, 0.02, 0.01]).view(1, 8, 1, 1)
    sizes = size(module_of(weight), PruneSpec(structure="n:m"), QuantSpec(8, "symmetric", "tensor"))
    assert sizes.sparse == Ledger(codes=1, scales=4, masks=1)


def test_a_float_layer_counts_as_float32(net: nn.Module) -> None:
    sizes = size(net, None, QuantSpec(4, granularity="tensor"), layers=(LayerSpec("fc", bits=32),))
    assert [layer.dense for layer in sizes.layers] == [Ledger(codes=4, scales=4), Ledger(codes=24)]
    assert [layer.float32 for layer in sizes.layers] == [32, 24]


def test_ledgers_add_up_item_by_item() -> None:
    assert Ledger(1, 2, 3, 4) + Ledger(10, 20, 30, 40) == Ledger(11, 22, 33, 44)
    assert Ledger(1, 2, 3, 4).total == 10


# ---- laws, on ResNet-20


@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_the_dense_size_decreases_with_the_bits(scheme: str, granularity: str, random_resnet: nn.Module) -> None:
    totals = [size(random_resnet, None, QuantSpec(b, scheme, granularity)).dense.total for b in range(16, 1, -1)]
    assert all(fewer < more for more, fewer in pairwise([size(random_resnet).float32, *totals]))


@pytest.mark.parametrize("quant", [None, QuantSpec(8), QuantSpec(4, "affine", "tensor")], ids=["float", "8", "4"])
def test_the_sparse_size_decreases_with_the_sparsity(quant: QuantSpec | None, random_resnet: nn.Module) -> None:
    totals = [
        size(random_resnet, PruneSpec(sparsity=s), quant).sparse.total for s in (0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)
    ]
    assert all(fewer < more for more, fewer in pairwise(totals))


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
def test_pruning_alone_does_not_change_the_dense_size(sparsity: float, random_resnet: nn.Module) -> None:
    """Zeros in a dense format take as much room as other weights."""
    pruned = size(random_resnet, PruneSpec(sparsity=sparsity), QuantSpec(8))
    assert pruned.dense == size(random_resnet, None, QuantSpec(8)).dense


@pytest.mark.parametrize("prune", [None, PruneSpec(sparsity=0.05), PruneSpec(sparsity=0.9)], ids=["0", "5", "90"])
def test_the_best_size_is_the_smaller_of_dense_and_sparse(prune: PruneSpec | None, random_resnet: nn.Module) -> None:
    sizes = size(random_resnet, prune, QuantSpec(8))
    assert sizes.best.total == min(sizes.dense.total, sizes.sparse.total)
    assert sizes.best is getattr(sizes, sizes.best_name)


def test_the_layers_and_the_rest_add_up_to_the_total(random_resnet: nn.Module) -> None:
    sizes = size(random_resnet, PruneSpec(sparsity=0.5), QuantSpec(4))
    assert sum(layer.dense.total for layer in sizes.layers) + sizes.dense.rest == sizes.dense.total
    assert sum(layer.float32 for layer in sizes.layers) + sizes.dense.rest == sizes.float32


def test_float32_takes_four_bytes_per_number_that_inference_reads(random_resnet: nn.Module) -> None:
    numbers = sum(p.numel() for p in random_resnet.parameters())
    statistics = sum(b.numel() for name, b in random_resnet.named_buffers() if "running" in name)
    assert size(random_resnet).float32 == 4 * (numbers + statistics)
