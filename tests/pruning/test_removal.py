"""What is removed was zero: the smaller network answers as the one with the zeros, or nothing goes."""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compression.data.images import ImageSet
from compression.evaluation.evaluation import evaluate
from compression.networks.bundled import load_bundled
from compression.networks.folding import fold_batch_norm
from compression.networks.macs import layer_macs
from compression.pruning.proof import ROUNDING, SmallerNetwork
from compression.pruning.removal import remove_zeroed
from tests.support.networks import images, network

ARCHS = ["simple_cnn", "cnn3", "resnet20", "resnet20-a", "mobilenetv2", "vgg"]


def zero_(module: nn.Module, layer: str, channels: list[int], norm: str | None = None) -> None:
    """Channels of a layer and of its batch norm, made zero in place."""
    for name in filter(None, (layer, norm)):
        part = module.get_submodule(name)
        for tensor in (part.weight, part.bias):
            if tensor is not None:
                tensor.data[channels] = 0


def with_zeros(module: nn.Module, share: float, seed: int = 0) -> nn.Module:
    """A copy in which each filter of a convolution, with its batch norm, is zero with probability `share`."""
    module = copy.deepcopy(module)
    chance = torch.Generator().manual_seed(seed)
    gone = torch.empty(0, dtype=torch.bool)
    for part in module.modules():  # a batch norm comes after its convolution
        if isinstance(part, nn.Conv2d):
            gone = torch.rand(len(part.weight), generator=chance) < share
        if isinstance(part, nn.Conv2d | nn.BatchNorm2d):
            for tensor in (part.weight, part.bias):
                if tensor is not None:
                    tensor.data[gone] = 0
    return module.eval()


def widths(found: SmallerNetwork) -> dict[str, tuple[int, int]]:
    return {layer.layer: (layer.before, layer.after) for layer in found.layers}


def assert_same_answers(found: SmallerNetwork, masked: nn.Module) -> None:
    """On other inputs than those of the proof."""
    inputs = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        expected = masked(inputs)
        largest = float(expected.abs().max())
        torch.testing.assert_close(found.module(inputs), expected, rtol=1e-4, atol=1e-5 * largest)
    assert found.largest_difference <= ROUNDING * max(largest, 1)


# ---- on paper


class Chain(nn.Module):
    """conv (3 to 4) -> batch norm -> conv (4 to 2) -> linear (2 to 5)."""

    def __init__(self, act: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.act = act or nn.ReLU()
        self.conv2, self.fc = nn.Conv2d(4, 2, 3), nn.Linear(2, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv2(self.act(self.bn1(self.conv1(x)))).mean((2, 3)))


@pytest.fixture
def chain() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Chain().eval()


def test_a_zero_filter_goes_with_all_that_reads_it_on_paper(chain: nn.Module) -> None:
    zero_(chain, "conv1", [1, 3], "bn1")
    found = remove_zeroed(chain, images(1))
    assert widths(found) == {"conv1": (4, 2), "conv2": (2, 2), "fc": (5, 5)}
    small = found.module
    assert torch.equal(small.conv1.weight, chain.conv1.weight[[0, 2]])
    assert torch.equal(small.bn1.running_mean, chain.bn1.running_mean[[0, 2]])
    assert torch.equal(small.conv2.weight, chain.conv2.weight[:, [0, 2]])
    assert (found.channels_removed, found.channels, found.remaining) == (2, 11, ())
    assert found.before.macs == 32 * 32 * 4 * 27 + 30 * 30 * 2 * 36 + 10
    assert found.after.macs == 32 * 32 * 2 * 27 + 30 * 30 * 2 * 18 + 10
    assert found.before.parameters - found.after.parameters == 2 * (27 + 1 + 2) + 2 * 18
    assert found.before.size_bytes - found.after.size_bytes == 4 * (2 * (27 + 1 + 4) + 2 * 18)
    assert_same_answers(found, chain)


def test_where_nothing_is_zero_nothing_goes(chain: nn.Module) -> None:
    found = remove_zeroed(chain, images(1))
    assert (found.channels_removed, found.remaining, found.before) == (0, (), found.after)
    assert all(
        torch.equal(one, other) for one, other in zip(found.module.parameters(), chain.parameters(), strict=True)
    )


def test_of_a_layer_that_is_zero_altogether_one_channel_stays(chain: nn.Module) -> None:
    zero_(chain, "conv1", [0, 1, 2, 3], "bn1")
    found = remove_zeroed(chain, images(1))
    assert widths(found)["conv1"] == (4, 1)
    [left] = found.remaining
    assert (left.layer, left.channels, left.why) == ("conv1", 1, "a layer must have at least one channel")
    assert_same_answers(found, chain)


def test_a_batch_norm_alone_can_make_a_channel_zero(chain: nn.Module) -> None:
    zero_(chain, "bn1", [2])
    assert widths(remove_zeroed(chain, images(1)))["conv1"] == (4, 3)


def test_a_constant_is_no_zero(chain: nn.Module) -> None:
    zero_(chain, "conv1", [2])
    chain.bn1.bias.data[2] = 0.5
    found = remove_zeroed(chain, images(1))
    assert found.channels_removed == 0
    [left] = found.remaining
    assert (left.layer, left.channels, left.why) == ("conv1", 1, "the coupled channels are not zero in bn1")


def test_the_answers_of_the_network_stay(chain: nn.Module) -> None:
    zero_(chain, "fc", [4])
    found = remove_zeroed(chain, images(1))
    assert widths(found)["fc"] == (5, 5)
    assert [left.why for left in found.remaining] == ["they are the outputs of the network"]


def test_where_zero_does_not_stay_zero_the_proof_fails_and_all_comes_back() -> None:
    """sigmoid(0) = 1/2, which torch-pruning does not know."""
    module = Chain(nn.Sigmoid()).eval()
    zero_(module, "conv1", [1], "bn1")
    zero_(module, "conv2", [0])
    found = remove_zeroed(module, images(1))
    assert widths(found) == {"conv1": (4, 4), "conv2": (2, 1), "fc": (5, 5)}
    [left] = found.remaining
    assert (left.layer, left.channels) == ("conv1", 1)
    assert left.why.startswith("without them, outputs differ by up to ")
    assert_same_answers(found, module)


class Shifted(nn.Module):
    """Channels that a padding moves to other places, in words that torch-pruning does not understand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(F.pad(self.conv1(x), (0, 0, 0, 0, 2, 2)) + self.conv2(x)).mean((2, 3))


def test_torch_pruning_is_not_believed_where_channels_change_places() -> None:
    module = Shifted().eval()
    zero_(module, "conv1", [0, 3])
    zero_(module, "conv2", [0, 3])
    found = remove_zeroed(module, images(1))
    assert found.channels_removed == 0
    assert {left.layer for left in found.remaining} == {"conv1", "conv2"}
    assert_same_answers(found, module)


def test_what_torch_pruning_cannot_follow_stays_as_it_is() -> None:
    module = with_zeros(network("shufflenetv2_x0_5"), 0.3)
    found = remove_zeroed(module, images(1))
    assert (found.channels_removed, found.largest_difference) == (0, 0)
    assert found.remaining[0].why.startswith("torch-pruning cannot trace this network")


class Net(nn.Module):
    """(N, 3, H, W) -> (N, 4): `first` to eight channels, `between`, and a convolution of 1x1."""

    def __init__(self, between: Callable[[Tensor], Tensor], first: nn.Module | None = None) -> None:
        super().__init__()
        self.first, self.between, self.last = first or nn.Conv2d(3, 8, 3), between, nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(self.first(x))).mean((2, 3))


class Beside(nn.Module):
    """Two convolutions, one behind the other's channels."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(3, 5, 3), nn.Conv2d(3, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.other(x)], 1)


@pytest.mark.parametrize(
    ("between", "gone", "why"),
    [
        (nn.PReLU(8), 2, None),
        (nn.Conv2d(8, 8, 3, groups=8, bias=False), 2 + 2, None),
        (nn.Conv2d(8, 8, 3, groups=2), 0, "torch-pruning cannot remove them"),
        (nn.GroupNorm(2, 8), 0, "an operation after the layer may change their zeros"),
        (lambda x: F.channel_shuffle(x, 2), 0, "without them, outputs differ by up to"),
        (torch.cos, 0, "without them, outputs differ by up to"),
    ],
    ids=["prelu", "depthwise", "grouped", "group-norm", "shuffle", "cosine"],
)
def test_what_stands_between_decides(between: Callable[[Tensor], Tensor], gone: int, why: str | None) -> None:
    module = Net(between).eval().requires_grad_(False)
    zero_(module, "first", [1, 2])
    found = remove_zeroed(module, images(1))
    assert found.channels_removed == gone
    assert [left.why[: len(why or "")] for left in found.remaining if left.layer == "first"] == ([why] if why else [])
    assert_same_answers(found, module)


def test_channels_that_are_laid_behind_others_go_from_their_own_place() -> None:
    module = Net(nn.Identity(), Beside()).eval().requires_grad_(False)
    zero_(module, "first.one", [4])
    zero_(module, "first.other", [0, 2])
    found = remove_zeroed(module, images(1))
    assert widths(found) == {"first.one": (5, 4), "first.other": (3, 1), "last": (4, 4)}
    assert torch.equal(found.module.last.weight, module.last.weight[:, [0, 1, 2, 3, 6]])


def test_a_transposed_convolution_has_its_filters_in_its_second_dimension() -> None:
    module = Net(nn.ConvTranspose2d(6, 8, 3), nn.Conv2d(3, 6, 3)).eval().requires_grad_(False)
    zero_(module, "first", [0])
    module.between.weight[:, [3, 5]] = module.between.bias[[3, 5]] = 0
    found = remove_zeroed(module, images(1))
    assert widths(found) == {"first": (6, 5), "between": (8, 6), "last": (4, 4)}
    assert_same_answers(found, module)


def test_a_network_that_nothing_can_be_proved_of_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="does not run in double precision"):
        remove_zeroed(Net(lambda x: x.float()).eval(), images(1))


# ---- laws


@pytest.mark.parametrize("fold", [False, True], ids=["whole", "folded"])
@pytest.mark.parametrize("arch", ARCHS)
def test_the_smaller_network_answers_as_the_one_with_the_zeros(arch: str, fold: bool) -> None:
    masked = with_zeros(network(arch), 0.5)
    masked = fold_batch_norm(masked) if fold else masked
    before = {name: value.clone() for name, value in masked.state_dict().items()}
    found = remove_zeroed(masked, images(1))
    assert_same_answers(found, masked)
    assert found.channels_removed > found.channels / 20
    assert found.after.macs < 0.8 * found.before.macs
    assert found.after.macs == sum(layer_macs(found.module, images(1)).values())
    assert all(torch.equal(before[name], value) for name, value in masked.state_dict().items())
    assert not any(part._forward_hooks for part in masked.modules())
    assert not any(parameter.requires_grad for parameter in masked.parameters())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("arch", ["simple_cnn", "resnet8", "resnet8-a"])
def test_it_does_so_whatever_is_zero(arch: str, seed: int) -> None:
    masked = with_zeros(network(arch), (seed + 1) / 5, seed)
    assert_same_answers(remove_zeroed(masked, images(1)), masked)


@pytest.mark.parametrize("arch", ["simple_cnn", "resnet20", "resnet20-a", "vgg"])
def test_all_zero_filters_of_a_chain_go(arch: str) -> None:
    """Where a layer's channels are added to no others, nothing keeps them."""
    masked = with_zeros(network(arch), 0.3)
    found = remove_zeroed(masked, images(1))
    inner = [name for name in widths(found) if name.endswith("conv1") or "resnet" not in arch]
    assert len(inner) >= 4
    for name in set(inner) - ({"conv1"} if "resnet" in arch else set()):
        weight = masked.get_submodule(name).weight
        assert widths(found)[name][1] == int(weight.flatten(1).any(1).sum())


@pytest.mark.parametrize("arch", ["resnet8", "resnet8-a"])
def test_a_channel_of_all_that_a_shortcut_adds_up_goes(arch: str) -> None:
    """Option A: channel 3 of the first stage is channel 8 + 3 of the second and 16 + 8 + 3 of the third."""
    masked = network(arch)
    places = (3, 11, 27) if arch == "resnet8-a" else (3, 3, 3)
    zero_(masked, "conv1", [3], "bn1")
    for stage, place in enumerate(places, 1):
        zero_(masked, f"layer{stage}.0.conv2", [place], f"layer{stage}.0.bn2")
        if stage > 1 and arch == "resnet8":
            zero_(masked, f"layer{stage}.0.downsample.0", [place], f"layer{stage}.0.downsample.1")
    found = remove_zeroed(masked, images(1))
    assert [widths(found)[f"layer{stage}.0.conv2"] for stage in (1, 2, 3)] == [(16, 15), (32, 31), (64, 63)]
    assert found.remaining == ()
    assert_same_answers(found, masked)


def test_threads_do_not_disturb_each_other() -> None:
    masked = [with_zeros(network("resnet8"), 0.3, seed) for seed in range(4)]
    expected = [widths(remove_zeroed(module, images(1))) for module in masked]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda module: remove_zeroed(module, images(1)), masked))
    assert [widths(one) for one in found] == expected
    for one, module in zip(found, masked, strict=True):
        assert_same_answers(one, module)


@pytest.mark.parametrize("name", ["simple_cnn", "resnet20", "mobilenetv2"])
def test_of_real_images_it_says_what_the_network_with_the_zeros_says(name: str, test_images: ImageSet) -> None:
    model = load_bundled(name)
    masked = with_zeros(model.module, 0.1)
    small = remove_zeroed(masked, model.normalization(test_images[:2].pixels)).module
    one, other = (evaluate(module, test_images[:500], model.normalization) for module in (masked, small))
    assert torch.equal(one.predictions, other.predictions)
    assert len(one.predictions.unique()) > 1
