"""Whole networks layer by layer: what each layer sees, what changes, and what stays."""

import copy
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from compression.networks.folding import fold_batch_norm
from compression.networks.weights import weighted_layers
from compression.quantization.activations import InputQuantizer
from compression.quantization.quantizers import choose_qparams, fake_quantize, quantize
from compression.reconstruction.moments import moments_of
from compression.reconstruction.reconstruct import reconstruct, write_vectors_
from compression.reconstruction.solve import LayerPlan, LayerSolution, Steps
from compression.reconstruction.statistics import mean_shift, spread_gain
from compression.reconstruction.walk import walk
from compression.spec import QuantSpec
from compression.spec.rounding import Rounding
from tests.reconstruction.layers import numbers
from tests.support.networks import images, network, randomize_norms

COMPENSATED = Steps(Rounding.COMPENSATED, mean=True)


def small_images(n: int = 300) -> Tensor:
    return images(n)[:, :, :8, :8].contiguous()


def plans_of(module: nn.Module, quant: QuantSpec | None = None, share: float = 0.0) -> dict[str, LayerPlan]:
    return {
        name: LayerPlan(weight.abs() >= weight.abs().quantile(share) if share else None, quant)
        for name, weight in weighted_layers(module).items()
    }


def changed(module: nn.Module, solutions: Mapping[str, LayerSolution]) -> nn.Module:
    """Returns a copy of `module` with the weights and vectors of `solutions`."""
    module = copy.deepcopy(module)
    for name, solution in solutions.items():
        module.get_submodule(name).weight.data.copy_(solution.weight)
        write_vectors_(module, solution.vectors)
    return module


def solve(module: nn.Module, plans: dict[str, LayerPlan], steps: Steps, **how) -> dict[str, LayerSolution]:
    return {each.name: each for each in reconstruct(module, module, plans, steps, small_images(), **how)}


def output_error(module: nn.Module, other: nn.Module) -> float:
    inputs = small_images(600)[300:]  # other ones than those of the sample
    return float((module(inputs) - other(inputs)).square().mean() / module(inputs).var())


def depthwise() -> nn.Module:
    """A small network with a depthwise convolution, batch norms and a bias."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(inplace=True),
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 16, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, 10),
        )
    return randomize_norms(module).requires_grad_(False)


def module_of(name: str) -> nn.Module:
    return depthwise() if name == "depthwise" else network(name)


@pytest.mark.parametrize("name", ["resnet8", "depthwise"])
@pytest.mark.parametrize("fold", [True, False], ids=["folded", ""])
def test_outputs_for_other_images_are_nearer_than_with_nearest_rounding(name: str, fold: bool) -> None:
    module = fold_batch_norm(module_of(name)) if fold else module_of(name)
    plans = plans_of(module, QuantSpec(3))
    nearest = changed(module, solve(module, plans, Steps()))
    for layer in weighted_layers(module):
        weight = module.get_submodule(layer).weight.detach()
        expected = fake_quantize(weight, choose_qparams(weight, QuantSpec(3)))
        assert torch.equal(nearest.get_submodule(layer).weight, expected)
    compensated = changed(module, solve(module, plans, COMPENSATED))
    assert output_error(module, compensated) < 0.7 * output_error(module, nearest)


def test_outputs_with_survivors_moved_are_nearer_than_with_the_others_set_to_zero() -> None:
    module = network("resnet8")
    plans = plans_of(module, share=0.6)
    masked, moved = (changed(module, solve(module, plans, Steps(survivors=each, mean=each))) for each in (False, True))
    assert output_error(module, moved) < 0.5 * output_error(module, masked)
    for name, plan in plans.items():
        assert not moved.get_submodule(name).weight[~plan.keep].any()


@pytest.mark.parametrize(
    "steps", [COMPENSATED, Steps(survivors=True, spread=True, mean=True)], ids=["rounded", "pruned"]
)
def test_the_float_network_stays_and_the_result_is_the_same_each_time(steps: Steps) -> None:
    module = network("resnet8")
    before = {name: value.clone() for name, value in module.state_dict().items()}
    plans = plans_of(module, QuantSpec(3), share=0.5)
    first, second = solve(module, plans, steps), solve(module, plans, steps)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(part._forward_pre_hooks for part in module.modules())
    assert list(first) == list(weighted_layers(module))
    for name, solution in first.items():
        assert torch.equal(solution.weight, second[name].weight)
        assert all(torch.equal(solution.vectors[each], second[name].vectors[each]) for each in solution.vectors)


def test_zeros_of_the_float_network_stay_zero() -> None:
    module = network("resnet8")
    module.conv1.weight[:, 1] = 0
    weight = solve(module, plans_of(module, QuantSpec(3, "min-max")), COMPENSATED)["conv1"].weight
    assert not weight[:, 1].any()
    assert weight[:, 0].any()


def test_each_layer_sees_the_inputs_of_the_network_compressed_so_far() -> None:
    module = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)).eval().requires_grad_(False)
    original, changing = copy.deepcopy(module), copy.deepcopy(module)
    inputs = numbers(200, 6)
    steps = walk(original, changing, ["0", "2"], inputs)
    next(steps)
    changing[0].weight.copy_(changing[0].weight.round())
    name, moments = next(steps)
    hidden, target = changing[1](changing[0](inputs)), module[1](module[0](inputs)) @ module[2].weight.T
    expected = moments_of(hidden[None], target[None])
    assert name == "2"
    torch.testing.assert_close(moments.second, expected.second, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(moments.cross, expected.cross, rtol=1e-4, atol=1e-4)


def test_quantized_inputs_are_what_a_layer_sees() -> None:
    module = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)).eval().requires_grad_(False)
    plans = plans_of(module, QuantSpec(3))
    plain = list(reconstruct(module, module, plans, COMPENSATED, numbers(200, 6)))
    coarse = {"0": InputQuantizer(2, 1.0, 2)}
    quantized = list(reconstruct(module, module, plans, COMPENSATED, numbers(200, 6), coarse))
    assert not torch.equal(plain[0].weight, quantized[0].weight)


def test_it_can_be_cancelled_between_layers() -> None:
    steps = reconstruct(network("resnet8"), network("resnet8"), plans_of(network("resnet8")), Steps(), small_images())
    assert next(steps).name == "conv1"
    steps.close()
    assert list(steps) == []


def test_layers_that_no_image_reaches_and_layers_of_other_kinds_are_left_out() -> None:
    assert list(solve_on(OnlyTheFirst().eval(), numbers(50, 6))) == ["first"]


class OnlyTheFirst(nn.Module):
    """A network that uses one of its three layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(6, 5), nn.Linear(5, 4), nn.ConvTranspose2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x)


def solve_on(module: nn.Module, inputs: Tensor) -> dict[str, LayerSolution]:
    plans = plans_of(module, QuantSpec(3))
    return {each.name: each for each in reconstruct(module, module, plans, COMPENSATED, inputs)}


def test_without_images_nothing_can_be_reconstructed() -> None:
    with pytest.raises(ValueError, match="needs training images"):
        solve_on(nn.Sequential(nn.Linear(6, 5)), numbers(0, 6))


# ---- spread and mean of channels


def test_the_shift_gives_the_means_back() -> None:
    inputs, outputs, rows = numbers(1, 90, 5) + 1, numbers(1, 90, 3, seed=2), numbers(1, 3, 5, seed=3)
    shift = mean_shift(moments_of(inputs, outputs), rows)
    torch.testing.assert_close((inputs @ rows.transpose(1, 2)).mean(1) + shift, outputs.mean(1), check_dtype=False)


def test_the_gain_of_outputs_that_only_shrank_gives_their_spread_back_in_full() -> None:
    inputs, rows = numbers(1, 90, 5) + 1, numbers(1, 3, 5, seed=3)
    shrunk = rows * torch.tensor([[[0.5], [1.0], [0.8]]])
    gain = spread_gain(moments_of(inputs, inputs @ rows.transpose(1, 2)), shrunk)
    torch.testing.assert_close(gain, torch.tensor([[2.0, 1.0, 1.25]], dtype=torch.float64), rtol=1e-4, atol=1e-4)


def test_the_gain_of_outputs_that_have_nothing_in_common_is_one() -> None:
    inputs = numbers(1, 20_000, 4)
    rows = torch.tensor([[[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])
    others = torch.tensor([[[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 1.0, 0.0]]])
    gain = spread_gain(moments_of(inputs, inputs @ rows.transpose(1, 2)), others)
    torch.testing.assert_close(gain, torch.ones(1, 2, dtype=torch.float64), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "quant", [None, QuantSpec(2), QuantSpec(2, "k-means"), QuantSpec(2, granularity="tensor")], ids=str
)
@pytest.mark.parametrize("fold", [True, False], ids=["folded", ""])
def test_spread_and_mean_come_back_and_codes_stay(quant: QuantSpec | None, fold: bool) -> None:
    """Per tensor and folded there is no place for a gain, so the spread stays as it is there."""
    module = fold_batch_norm(depthwise()) if fold else depthwise()
    plans = plans_of(module, quant, share=0.4)
    repaired = solve(module, plans, Steps(spread=True, mean=True))
    simple = solve(module, plans, Steps())
    for name, solution in repaired.items():
        if quant is not None:
            codes = quantize(solution.weight, solution.qparams)
            assert torch.equal(codes, quantize(simple[name].weight, simple[name].qparams))
    together = changed(module, repaired)
    before, after = module(small_images()), together(small_images())
    torch.testing.assert_close(after.mean(0), before.mean(0), rtol=0, atol=2e-3)
    gains = torch.cat([solution.gain for solution in repaired.values()])
    can_scale = not (quant and quant.granularity == "tensor" and fold)
    assert bool((gains != 1).any()) == can_scale


def test_filters_that_are_pruned_as_a_whole_stay_silent() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)).eval().requires_grad_(False)
    filters = torch.tensor([True, False, True, True])
    keep = filters.view(4, 1, 1, 1).expand(4, 3, 3, 3)
    start = copy.deepcopy(module)
    start[0].bias[1] = 0
    plans = {"0": LayerPlan(keep, None, filters), "2": LayerPlan()}
    steps = Steps(survivors=True, spread=True, mean=True)
    first, _ = reconstruct(module, start, plans, steps, small_images())
    assert float(first.vectors["0.bias"][1]) == 0
    assert not first.weight[1].any()
