"""Folding changes the time that a network takes, not what it computes."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from compression.networks.architectures.plain import SimpleCNN
from compression.networks.architectures.resnet import ResNet
from compression.networks.folding import fold_batch_norm
from tests.support.networks import images, network, randomize_norms


class Preactivated(nn.Module):
    """A batch norm before its convolution, in an unknown order, so that neither can be folded."""

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
    module = randomize_norms(ResNet(3, option))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    small = fold_batch_norm(module)
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
    small = fold_batch_norm(module)
    assert (batch_norms(module), batch_norms(small)) == (before, after)
    with torch.inference_mode():
        expected = module(images())
        torch.testing.assert_close(small(images()), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_a_folded_repvgg_keeps_the_branches_without_a_convolution() -> None:
    norms = [
        name for name, part in fold_batch_norm(network("repvgg_a0")).named_modules() if isinstance(part, nn.BatchNorm2d)
    ]
    assert norms
    assert all(name.endswith(".rbr_identity") for name in norms)


def test_batch_norms_that_do_not_follow_a_convolution_alone_stay() -> None:
    module = randomize_norms(Preactivated())
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert batch_norms(fold_batch_norm(module)) == 2
    torch.testing.assert_close(fold_batch_norm(module)(images), module(images))


def test_a_network_without_batch_norm_is_returned_as_it_is() -> None:
    module = SimpleCNN().eval()
    assert fold_batch_norm(module) is module


def test_batch_norm_is_folded_into_the_convolution_directly_before_it() -> None:
    module = randomize_norms(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4)))
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert batch_norms(fold_batch_norm(module)) == 1
    torch.testing.assert_close(fold_batch_norm(module)(images), module(images))


FOLLOWED = {
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, groups=2), nn.BatchNorm1d, (5, 4, 9)),
    "conv3d": (lambda: nn.Conv3d(4, 6, 2, bias=False), nn.BatchNorm3d, (5, 4, 3, 4, 5)),
    "transposed1d": (lambda: nn.ConvTranspose1d(4, 6, 3), nn.BatchNorm1d, (5, 4, 9)),
    "transposed2d": (lambda: nn.ConvTranspose2d(6, 6, 3, bias=False), nn.BatchNorm2d, (5, 6, 4, 5)),
    "transposed3d": (lambda: nn.ConvTranspose3d(4, 6, 2), nn.BatchNorm3d, (5, 4, 3, 4, 5)),
    "linear": (lambda: nn.Linear(4, 6), nn.BatchNorm1d, (5, 4)),
    "linear without a bias": (lambda: nn.Linear(4, 6, bias=False), nn.BatchNorm1d, (5, 4)),
}


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(("make", "norm", "shape"), FOLLOWED.values(), ids=FOLLOWED)
def test_layers_of_any_dimension_take_the_batch_norm_after_them(
    make, norm, shape: tuple[int, ...], affine: bool
) -> None:
    module = nn.Sequential(make(), norm(6, affine=affine))
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    module(inputs * 3 + 1)  # while it is training: now its statistics are not those of before
    small = fold_batch_norm(module)
    assert isinstance(small[1], nn.Identity)
    assert module.training
    torch.testing.assert_close(small(inputs), module.eval()(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "norm", "shape"),
    [
        (nn.ConvTranspose2d(4, 6, 3, groups=2), nn.BatchNorm2d(6), (2, 4, 5, 5)),
        (nn.ConvTranspose2d(4, 4, 3, groups=4), nn.BatchNorm2d(4), (2, 4, 5, 5)),
        (nn.Linear(4, 6), nn.BatchNorm1d(7), (2, 7, 4)),
        (nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, track_running_stats=False), (2, 4, 5, 5)),
        (nn.Conv2d(4, 6, 3), nn.InstanceNorm2d(6), (2, 4, 5, 5)),
    ],
    ids=["groups", "depthwise", "sequences", "statistics of the batch", "instance norm"],
)
def test_batch_norm_that_cannot_be_folded_stays(layer: nn.Module, norm: nn.Module, shape: tuple[int, ...]) -> None:
    module = nn.Sequential(layer, norm).eval()
    assert fold_batch_norm(module) is module
    module(torch.zeros(shape))


def test_threads_fold_and_compute_at_the_same_time() -> None:
    """Two threads fold while others compute; folding patches nothing that threads share."""
    module = randomize_norms(ResNet(1))
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = module(images)

    def fold(_: int) -> bool:
        with torch.inference_mode():
            return torch.allclose(fold_batch_norm(module)(images), expected, rtol=1e-4, atol=1e-4)

    def compute(_: int) -> bool:
        with torch.inference_mode():
            return torch.equal(module(images), expected)

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(job, turn) for turn in range(20) for job in (fold, fold, compute, compute)]
        assert all(job.result() for job in jobs)


def test_folding_twice_changes_nothing() -> None:
    once = fold_batch_norm(randomize_norms(ResNet(1)))
    assert fold_batch_norm(once) is once
