"""Pruners: which weights go, on paper, beside torch.nn.utils.prune, and exactly how many."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from compression.pruners import keep_above, keep_largest, masks
from compression.spec import PruneSpec

SPARSITIES = (0.0, 0.001, 0.1, 0.29, 0.3, 0.5, 0.77, 0.9, 0.999, 1.0)


def weights(seed: int = 0) -> dict[str, Tensor]:
    """Three layers of different shapes and sizes, without ties."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"conv": (6, 3, 3, 3), "kernels last": (5, 4, 3, 3), "fc": (10, 31)}
    found = {name: torch.randn(shape, generator=generator) * len(shape) for name, shape in shapes.items()}
    found["kernels last"] = found["kernels last"].to(memory_format=torch.channels_last)
    return found


# ---- on paper


def test_a_threshold_prunes_what_is_below_it_and_keeps_what_is_on_it() -> None:
    weight = torch.tensor([-2.0, -0.5, -0.4, 0.0, 0.4, 0.5, 2.0])
    assert keep_above(weight.abs(), 0.5).tolist() == [True, True, False, False, False, True, True]


def test_large_negative_weights_are_kept() -> None:
    found = masks({"w": torch.tensor([-9.0, 1.0, -0.1])}, PruneSpec(threshold=0.5))
    assert found["w"].tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("sparsity", "kept"),
    [(0.0, [1, 1, 1, 1, 1]), (0.39, [1, 0, 1, 1, 1]), (0.4, [1, 0, 0, 1, 1]), (0.6, [1, 0, 0, 0, 1]), (1.0, [0] * 5)],
)
def test_of_equal_scores_the_first_goes(sparsity: float, kept: list[int]) -> None:
    assert keep_largest(torch.tensor([3.0, 1.0, 1.0, 1.0, 2.0]), sparsity).int().tolist() == kept


def test_position_is_that_of_the_shape_not_of_the_memory() -> None:
    scores = torch.ones(2, 2, 2, 2).to(memory_format=torch.channels_last)
    assert keep_largest(scores, 0.5).flatten().int().tolist() == [0] * 8 + [1] * 8


def test_globally_the_layers_compete_for_one_budget() -> None:
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
def test_exactly_the_floor_of_the_target_goes_whatever_the_ties(sparsity: float, distinct: int) -> None:
    scores = torch.randint(0, distinct, (7, 11, 3), generator=torch.Generator().manual_seed(1)).float()
    keep = keep_largest(scores, sparsity)
    assert int((~keep).sum()) == math.floor(sparsity * scores.numel())
    by_score_then_position = sorted(range(scores.numel()), key=lambda i: (scores.flatten()[i].item(), i))
    gone = (~keep).flatten().nonzero().flatten().tolist()
    assert gone == sorted(by_score_then_position[: len(gone)])


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_what_is_pruned_stays_pruned_as_the_target_grows(scope: str) -> None:
    found = [masks(weights(), PruneSpec(sparsity=s, scope=scope)) for s in SPARSITIES]
    for fewer, more in pairwise(found):
        assert all((more[name] <= fewer[name]).all() for name in fewer)


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9])
def test_a_global_target_is_a_threshold_in_disguise(sparsity: float) -> None:
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
