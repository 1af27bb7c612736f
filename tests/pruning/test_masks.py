"""Pruning masks: examples on paper, comparisons with torch.nn.utils.prune, and exact numbers of pruned weights."""

import dataclasses
import math
from itertools import pairwise, product

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from compression.pruning import masks as pruners
from compression.pruning.masks import keep_above, keep_largest
from compression.spec import PruneSpec

SPARSITIES = (0.0, 0.001, 0.1, 0.29, 0.3, 0.5, 0.77, 0.9, 0.999, 1.0)


def weights(seed: int = 0) -> dict[str, Tensor]:
    """Returns three layers of different shapes and sizes, without ties."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"conv": (6, 3, 3, 3), "kernels last": (5, 4, 3, 3), "fc": (10, 31)}
    layers = {name: torch.randn(shape, generator=generator) * len(shape) for name, shape in shapes.items()}
    layers["kernels last"] = layers["kernels last"].to(memory_format=torch.channels_last)
    return layers


def masks(weights: dict[str, Tensor], spec: PruneSpec) -> dict[str, Tensor]:
    return {name: masks.mask for name, masks in pruners.prune(weights, spec).items()}


# ---- on paper


def test_a_threshold_prunes_what_is_below_it_and_keeps_what_is_on_it() -> None:
    weight = torch.tensor([-2.0, -0.5, -0.4, 0.0, 0.4, 0.5, 2.0])
    assert keep_above(weight.abs(), 0.5).tolist() == [True, True, False, False, False, True, True]


def test_large_negative_weights_are_kept() -> None:
    keep = masks({"w": torch.tensor([-9.0, 1.0, -0.1])}, PruneSpec(threshold=0.5))
    assert keep["w"].tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("sparsity", "indices"),
    [(0.0, [1, 1, 1, 1, 1]), (0.39, [1, 0, 1, 1, 1]), (0.4, [1, 0, 0, 1, 1]), (0.6, [1, 0, 0, 0, 1]), (1.0, [0] * 5)],
)
def test_ties_are_pruned_by_position(sparsity: float, indices: list[int]) -> None:
    assert keep_largest(torch.tensor([3.0, 1.0, 1.0, 1.0, 2.0]), sparsity).int().tolist() == indices


def test_position_is_that_of_the_shape_not_of_the_memory() -> None:
    scores = torch.ones(2, 2, 2, 2).to(memory_format=torch.channels_last)
    assert keep_largest(scores, 0.5).flatten().int().tolist() == [0] * 8 + [1] * 8


def test_the_scope_global_compares_the_weights_of_all_layers() -> None:
    layers = {"small": torch.tensor([0.1, -0.2]), "large": torch.tensor([3.0, -4.0])}
    together = masks(layers, PruneSpec(sparsity=0.5))
    each = masks(layers, PruneSpec(sparsity=0.5, scope="layer"))
    assert {name: mask.tolist() for name, mask in together.items()} == {"small": [False] * 2, "large": [True] * 2}
    assert {name: mask.tolist() for name, mask in each.items()} == {"small": [False, True], "large": [False, True]}


# ---- beside torch


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("name", weights())
def test_masks_in_each_layer_are_those_of_l1_unstructured(name: str, sparsity: float) -> None:
    weight = weights()[name].contiguous()  # theirs knows no other layout
    amount = math.floor(sparsity * weight.numel())
    layer = prune.l1_unstructured(nn.ParameterDict({"w": weight}), "w", amount)
    ours = masks(weights(), PruneSpec(sparsity=sparsity, scope="layer"))[name]
    assert torch.equal(ours, layer.w_mask.bool())


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_global_masks_are_those_of_global_unstructured(sparsity: float) -> None:
    tensors = {name: weight.contiguous() for name, weight in weights().items()}
    layers = {name: nn.ParameterDict({"w": weight}) for name, weight in tensors.items()}
    amount = math.floor(sparsity * sum(weight.numel() for weight in tensors.values()))
    prune.global_unstructured([(layer, "w") for layer in layers.values()], prune.L1Unstructured, amount=amount)
    ours = masks(weights(), PruneSpec(sparsity=sparsity))
    for name, layer in layers.items():
        assert torch.equal(ours[name], layer.w_mask.bool()), name


# ---- laws


@pytest.mark.parametrize("distinct", [2, 5, 1000])
@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_exactly_the_floor_of_the_target_is_pruned_despite_ties(sparsity: float, distinct: int) -> None:
    scores = torch.randint(0, distinct, (7, 11, 3), generator=torch.Generator().manual_seed(1)).float()
    keep = keep_largest(scores, sparsity)
    assert int((~keep).sum()) == math.floor(sparsity * scores.numel())
    by_score_then_position = sorted(range(scores.numel()), key=lambda i: (scores.flatten()[i].item(), i))
    zeros = (~keep).flatten().nonzero().flatten().tolist()
    assert zeros == sorted(by_score_then_position[: len(zeros)])


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_a_higher_sparsity_prunes_a_superset(scope: str) -> None:
    keep = [masks(weights(), PruneSpec(sparsity=s, scope=scope)) for s in SPARSITIES]
    for fewer, more in pairwise(keep):
        assert all((more[name] <= fewer[name]).all() for name in fewer)


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9])
def test_a_global_target_equals_a_threshold(sparsity: float) -> None:
    by_target = masks(weights(), PruneSpec(sparsity=sparsity))
    smallest_kept = min(weights()[name][mask].abs().min().item() for name, mask in by_target.items())
    by_threshold = masks(weights(), PruneSpec(threshold=smallest_kept))
    assert all(torch.equal(by_target[name], by_threshold[name]) for name in by_target)


def test_masks_have_the_shape_of_their_weights() -> None:
    for name, mask in masks(weights(), PruneSpec(sparsity=0.5)).items():
        assert mask.shape == weights()[name].shape
        assert mask.dtype is torch.bool


def test_no_layers_have_no_masks() -> None:
    assert masks({}, PruneSpec(sparsity=0.5)) == {}


# ---- units


@pytest.mark.parametrize(
    ("unit", "threshold", "indices"),
    [
        ("absolute", 3.0, [0, 1, 0, 1]),
        ("means", 1.2, [0, 1, 0, 1]),
        ("means", 0.4, [1, 1, 0, 1]),
        ("stds", 1.2, [0, 0, 0, 1]),
        ("stds", 0.3, [1, 1, 0, 1]),
    ],
)
def test_a_threshold_counts_in_its_unit(unit: str, threshold: float, indices: list[int]) -> None:
    """-1, 3, -1/2, -5.5: mean |w| 2.5, mean -1, mean square deviation (0 + 16 + 1/4 + 81/4) / 4, std 3.02."""
    weight = torch.tensor([-1.0, 3.0, -0.5, -5.5])
    assert masks({"w": weight}, PruneSpec(threshold, unit=unit))["w"].int().tolist() == indices


@pytest.mark.parametrize("unit", ["stds", "means"])
def test_a_threshold_in_the_layer_s_own_unit_does_not_see_its_scale(unit: str) -> None:
    one = masks(weights(), PruneSpec(0.7, unit=unit))
    other = masks({name: 8 * weight for name, weight in weights().items()}, PruneSpec(0.7, unit=unit))
    assert all(torch.equal(one[name], other[name]) for name in one)


# ---- filters


@pytest.mark.parametrize("sparsity", [0.0, 0.2, 0.5, 0.79])
@pytest.mark.parametrize(("criterion", "n"), [("l1", 1), ("l2", 2)])
@pytest.mark.parametrize("name", weights())
def test_pruned_filters_are_those_of_ln_structured(name: str, criterion: str, n: int, sparsity: float) -> None:
    weight = weights()[name].contiguous()
    amount = math.floor(sparsity * len(weight))
    layer = prune.ln_structured(nn.ParameterDict({"w": weight}), "w", amount, n, dim=0)
    spec = PruneSpec(sparsity=sparsity, scope="layer", criterion=criterion, structure="filter")
    assert torch.equal(masks(weights(), spec)[name], layer.w_mask.bool())


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("criterion", ["l1", "l2", "random"])
def test_exactly_the_floor_of_the_filters_is_pruned(criterion: str, sparsity: float) -> None:
    spec = PruneSpec(sparsity=sparsity, criterion=criterion, structure="filter")
    layers = pruners.prune(weights(), spec)
    zeros = sum(int((~layer.filters).sum()) for layer in layers.values())
    assert zeros == math.floor(sparsity * sum(len(weight) for weight in weights().values()))
    assert all(torch.equal(layer.mask.flatten(1).any(1), layer.filters) for layer in layers.values())
    assert all(torch.equal(layer.mask.flatten(1).all(1), layer.filters) for layer in layers.values())


def test_the_scope_global_prunes_the_smallest_filters_of_all_layers() -> None:
    layers = {"a": torch.tensor([[1.0, -1.0], [6.0, 6.0], [0.0, 3.0]]), "b": torch.tensor([[2.0], [-4.0]])}
    kept_filters = pruners.prune(layers, PruneSpec(sparsity=0.5, structure="filter"))
    assert kept_filters["a"].filters.tolist() == [False, True, False]  # means 1, 6 and 1.5; of b 2 and 4
    assert kept_filters["b"].filters.tolist() == [True, True]
    assert (kept_filters["a"].threshold, kept_filters["b"].threshold) == (6.0, 2.0)


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_the_best_filter_of_every_layer_stays_whatever_the_target(scope: str) -> None:
    layers = {"small": torch.tensor([[0.1], [0.3], [0.2]]), "same": torch.ones(3, 2), "one": torch.zeros(1, 4)}
    for spec in (PruneSpec(sparsity=1.0, scope=scope, structure="filter"), PruneSpec(9.0, structure="filter")):
        layer_masks = pruners.prune(layers, spec)
        assert [layer.filters.int().tolist() for layer in layer_masks.values()] == [[0, 1, 0], [0, 0, 1], [1]]


# ---- n of each m


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (4, 8), (1, 2), (3, 5)])
@pytest.mark.parametrize("shape", [(3, 8, 3, 3), (4, 11, 2, 1), (5, 16), (2, 1, 3, 3), (2, 3, 1, 1)], ids=str)
@pytest.mark.parametrize("values", [3, 10_000], ids=["with ties", "hardly any"])
def test_n_of_each_m_along_the_inputs_are_kept_by_brute_force(
    n: int, m: int, shape: tuple[int, ...], values: int
) -> None:
    weight = torch.randint(-values, values, shape, generator=torch.Generator().manual_seed(2)).float()
    keep = masks({"w": weight}, PruneSpec(structure="n:m", pattern=(n, m)))["w"]
    expected = torch.ones(shape, dtype=torch.bool)
    for out, *kernel in product(range(shape[0]), *map(range, shape[2:])):
        for start in range(0, shape[1] - m + 1, m):
            group = [(out, start + i, *kernel) for i in range(m)]
            for place in sorted(group, key=lambda place: abs(float(weight[place])))[: m - n]:
                expected[place] = False
    assert torch.equal(keep, expected)


def test_n_of_m_does_not_depend_on_the_memory_layout() -> None:
    spec = PruneSpec(structure="n:m")
    weight = torch.randn(6, 8, 3, 3, generator=torch.Generator().manual_seed(3))
    last = masks({"w": weight.to(memory_format=torch.channels_last)}, spec)["w"]
    assert torch.equal(masks({"w": weight}, spec)["w"], last)


# ---- random


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_the_criterion_random_prunes_as_many_as_random_unstructured(sparsity: float) -> None:
    for name, mask in masks(weights(), PruneSpec(sparsity=sparsity, scope="layer", criterion="random")).items():
        amount = math.floor(sparsity * mask.numel())
        theirs = prune.random_unstructured(nn.ParameterDict({"w": weights()[name].contiguous()}), "w", amount)
        assert int(mask.sum()) == int(theirs.w_mask.sum())


def test_random_scores_depend_only_on_the_seed_and_the_layer_name() -> None:
    spec = PruneSpec(sparsity=0.5, scope="layer", criterion="random")
    one, again = (masks({"w": weight}, spec)["w"] for weight in (torch.zeros(40), torch.arange(40.0)))
    assert torch.equal(one, again)
    assert not torch.equal(one, masks({"v": torch.zeros(40)}, spec)["v"])
    assert not torch.equal(one, masks({"w": torch.zeros(40)}, dataclasses.replace(spec, seed=1))["w"])


# ---- the lesson


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_signed_removes_every_negative_weight(threshold: float) -> None:
    keep = masks(weights(), PruneSpec(threshold, criterion="signed"))
    for name, weight in weights().items():
        assert torch.equal(keep[name], weight >= threshold)
        assert not keep[name][weight < 0].any()


def test_signed_prunes_the_most_negative_weights_first() -> None:
    keep = pruners.prune({"w": torch.tensor([-9.0, 1.0, -0.1, 3.0])}, PruneSpec(sparsity=0.25, criterion="signed"))
    assert keep["w"].mask.tolist() == [False, True, True, True]
    assert keep["w"].threshold == pytest.approx(-0.1)
