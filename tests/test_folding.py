"""Folding changes the time that a network takes, not what it computes."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from compression.folding import folded
from compression.models.resnet import ResNet
from compression.models.simple_cnn import SimpleCNN
from tests.networks import images, network, settled


class Preactivated(nn.Module):
    """A batch norm before its convolution, and no word on which follows which: neither can be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.bn1, self.conv1, self.bn2 = nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.bn1(x))
        return x + self.bn2(x)


def batch_norms(module: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


@pytest.mark.parametrize("option", ["A", "B"])
def test_a_folded_resnet_has_no_batch_norm_and_computes_the_same(option: str) -> None:
    module = settled(ResNet(3, option))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    small = folded(module)
    assert batch_norms(small) == 0
    torch.testing.assert_close(small(images), module(images), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


@pytest.mark.parametrize(
    ("arch", "before", "after"),
    [
        ("mobilenetv2", 1 + 2 + 3 * 10 + 1, 0),
        ("mobilenetv2_x0_5", 1 + 2 + 3 * 16 + 1, 0),
        ("mobilenetv2_x1_0", 1 + 2 + 3 * 16 + 1, 0),
        ("resnet8", 7 + 2, 0),
        ("resnet8-a", 7, 0),
        ("resnet56", 55 + 2, 0),
        ("shufflenetv2_x0_5", 1 + (5 + 3 * 3) + (5 + 3 * 7) + (5 + 3 * 3) + 1, 0),
        ("shufflenetv2_x1_0", 1 + (5 + 3 * 3) + (5 + 3 * 7) + (5 + 3 * 3) + 1, 0),
        ("vgg", 9, 0),
        ("vgg11_bn", 8, 0),
        ("vgg16_bn-linear", 13, 0),
        ("repvgg_a0", 2 * 22 + 2 + 3 + 13, 2 + 3 + 13),  # batch norms alone, beside the convolutions, have none
        ("repvgg_a2", 2 * 22 + 1 + 3 + 13, 1 + 3 + 13),
    ],
)
def test_all_batch_norms_that_follow_a_convolution_go_and_the_outputs_stay(arch: str, before: int, after: int) -> None:
    module = network(arch)
    small = folded(module)
    assert (batch_norms(module), batch_norms(small)) == (before, after)
    with torch.inference_mode():
        expected = module(images())
        torch.testing.assert_close(small(images()), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_what_stays_in_a_folded_repvgg_are_the_branches_without_a_convolution() -> None:
    norms = [name for name, part in folded(network("repvgg_a0")).named_modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms
    assert all(name.endswith(".rbr_identity") for name in norms)


def test_batch_norms_that_do_not_follow_a_convolution_alone_stay() -> None:
    module = settled(Preactivated())
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert batch_norms(folded(module)) == 2
    torch.testing.assert_close(folded(module)(images), module(images))


def test_a_network_without_batch_norm_is_returned_as_it_is() -> None:
    module = SimpleCNN().eval()
    assert folded(module) is module


def test_a_sequence_says_by_its_order_what_follows_what() -> None:
    module = settled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4)))
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert batch_norms(folded(module)) == 1
    torch.testing.assert_close(folded(module)(images), module(images))


def test_sessions_fold_and_compute_side_by_side() -> None:
    """Two threads fold while others compute: nothing is patched for all of them."""
    module = settled(ResNet(1))
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = module(images)

    def fold(_: int) -> bool:
        with torch.inference_mode():
            return torch.allclose(folded(module)(images), expected, rtol=1e-4, atol=1e-4)

    def compute(_: int) -> bool:
        with torch.inference_mode():
            return torch.equal(module(images), expected)

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(job, turn) for turn in range(20) for job in (fold, fold, compute, compute)]
        assert all(job.result() for job in jobs)


def test_folding_twice_changes_nothing() -> None:
    once = folded(settled(ResNet(1)))
    assert folded(once) is once
