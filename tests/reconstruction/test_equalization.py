"""Equalization leaves the function as it is, and bias correction without data equals that from normal data."""

import pytest
import torch
from torch import nn

from compression.networks.folding import fold_batch_norm
from compression.reconstruction.data_free_bias import data_free_shifts, rectified_mean
from compression.reconstruction.equalization import equalizable, equalize
from tests.reconstruction.layers import numbers
from tests.support.networks import images, network


def chain(*between: nn.Module) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), *between, nn.Conv2d(4, 5, 2)).eval().requires_grad_(False)


@pytest.mark.parametrize("arch", ["resnet8", "resnet8-a", "vgg", "simple_cnn", "cnn3"])
def test_the_network_computes_the_same_function(arch: str) -> None:
    module = fold_batch_norm(network(arch))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    equal = equalize(module)
    outputs = module(images(4))
    torch.testing.assert_close(equal(images(4)), outputs, rtol=1e-4, atol=1e-4 * float(outputs.abs().max()))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    pairs = equalizable(module)
    assert any(
        not torch.equal(equal.get_submodule(first).weight, module.get_submodule(first).weight) for first, _ in pairs
    )


def test_ranges_on_both_sides_of_a_channel_are_equal() -> None:
    module = equalize(chain(nn.ReLU(), nn.MaxPool2d(2)))
    first, second = module[0].weight, module[-1].weight
    torch.testing.assert_close(first.abs().amax((1, 2, 3)), second.abs().amax((0, 2, 3)))


def test_a_channel_without_weights_keeps_its_scale() -> None:
    module = chain(nn.ReLU())
    module[0].weight[1] = 0
    equal = equalize(module)
    assert torch.equal(equal[2].weight[:, 1], module[2].weight[:, 1])


@pytest.mark.parametrize("between", [nn.ReLU6(), nn.Sigmoid(), nn.BatchNorm2d(4)], ids=lambda part: type(part).__name__)
def test_what_does_not_scale_with_its_input_is_refused(between: nn.Module) -> None:
    assert equalizable(chain(between)) == []
    with pytest.raises(ValueError, match="nothing can be equalized"):
        equalize(chain(between))


def test_the_mean_after_a_relu_is_that_of_many_normal_numbers() -> None:
    mean, deviation = torch.tensor([-1.0, 0.0, 0.5, 2.0, 3.0]), torch.tensor([1.0, 2.0, 0.5, 1.0, 0.0])
    drawn = (mean + deviation * numbers(400_000, 5)).clamp(min=0).mean(0)
    torch.testing.assert_close(rectified_mean(mean, deviation), drawn, rtol=0, atol=0.01)


def test_shifts_without_data_are_the_mean_errors_where_batch_norm_tells_the_truth() -> None:
    """The input makes the outputs of the batch norm normal, each channel with its own mean and deviation."""
    module = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 1)).eval()
    module.requires_grad_(False)
    module[0].weight.copy_(torch.eye(4).view(4, 4, 1, 1))
    module[1].weight.copy_(torch.tensor([1.0, 2.0, -0.5, 1.5]))
    module[1].bias.copy_(torch.tensor([0.0, 1.0, -1.0, 0.5]))
    rounded = module[3].weight.round()
    [(name, shift)] = data_free_shifts(module, {"3": rounded}).items()
    hidden = module[:3](numbers(2000, 4, 8, 8))
    error = module[3](hidden) - nn.functional.conv2d(hidden, rounded, module[3].bias)
    assert name == "3"
    torch.testing.assert_close(shift, error.mean((0, 2, 3)), rtol=0, atol=0.01)


def test_layers_behind_a_pooling_or_without_batch_norm_have_no_shift() -> None:
    weights = {name: part.weight for name, part in network("simple_cnn").named_modules() if hasattr(part, "weight")}
    assert data_free_shifts(network("simple_cnn"), weights) == {}
    resnet = network("resnet8")
    weights = {name: part.weight for name, part in resnet.named_modules() if isinstance(part, nn.Conv2d)}
    assert set(data_free_shifts(resnet, weights)) == {f"layer{stage}.0.conv2" for stage in (1, 2, 3)}
