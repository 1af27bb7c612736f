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
    """Sets channels of a layer, and of its batch norm, to zero in place."""
    for name in filter(None, (layer, norm)):
        part = module.get_submodule(name)
        for tensor in (part.weight, part.bias):
            if tensor is not None:
                tensor.data[channels] = 0


def with_zeros(module: nn.Module, share: float, seed: int = 0) -> nn.Module:
    """Returns a copy in which each filter of a convolution, with its batch norm, is zero with probability `share`."""
    module = copy.deepcopy(module)
    chance = torch.Generator().manual_seed(seed)
    zeros = torch.empty(0, dtype=torch.bool)
    for part in module.modules():  # a batch norm comes after its convolution
        if isinstance(part, nn.Conv2d):
            zeros = torch.rand(len(part.weight), generator=chance) < share
        if isinstance(part, nn.Conv2d | nn.BatchNorm2d):
            for tensor in (part.weight, part.bias):
                if tensor is not None:
                    tensor.data[zeros] = 0
    return module.eval()


def widths(smaller: SmallerNetwork) -> dict[str, tuple[int, int]]:
    return {layer.layer: (layer.before, layer.after) for layer in smaller.layers}


def assert_same_answers(smaller: SmallerNetwork, sparse: nn.Module) -> None:
    """Compares outputs for inputs other than those of the proof."""
    inputs = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        expected = sparse(inputs)
        largest = float(expected.abs().max())
        torch.testing.assert_close(smaller.module(inputs), expected, rtol=1e-4, atol=1e-5 * largest)
    assert smaller.largest_difference <= ROUNDING * max(largest, 1)


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


def test_a_zero_filter_is_removed_with_the_weights_that_read_it_on_paper(chain: nn.Module) -> None:
    zero_(chain, "conv1", [1, 3], "bn1")
    smaller = remove_zeroed(chain, images(1))
    assert widths(smaller) == {"conv1": (4, 2), "conv2": (2, 2), "fc": (5, 5)}
    small = smaller.module
    assert torch.equal(small.conv1.weight, chain.conv1.weight[[0, 2]])
    assert torch.equal(small.bn1.running_mean, chain.bn1.running_mean[[0, 2]])
    assert torch.equal(small.conv2.weight, chain.conv2.weight[:, [0, 2]])
    assert (smaller.channels_removed, smaller.channels, smaller.remaining) == (2, 6, ())  # not those of fc
    assert smaller.before.macs == 32 * 32 * 4 * 27 + 30 * 30 * 2 * 36 + 10
    assert smaller.after.macs == 32 * 32 * 2 * 27 + 30 * 30 * 2 * 18 + 10
    assert smaller.before.parameters - smaller.after.parameters == 2 * (27 + 1 + 2) + 2 * 18
    assert smaller.before.size_bytes - smaller.after.size_bytes == 4 * (2 * (27 + 1 + 4) + 2 * 18)
    assert_same_answers(smaller, chain)


def test_nothing_is_removed_if_nothing_is_zero(chain: nn.Module) -> None:
    smaller = remove_zeroed(chain, images(1))
    assert (smaller.channels_removed, smaller.remaining, smaller.before) == (0, (), smaller.after)
    assert all(
        torch.equal(one, other) for one, other in zip(smaller.module.parameters(), chain.parameters(), strict=True)
    )


def test_a_layer_of_zeros_keeps_one_channel(chain: nn.Module) -> None:
    zero_(chain, "conv1", [0, 1, 2, 3], "bn1")
    smaller = remove_zeroed(chain, images(1))
    assert widths(smaller)["conv1"] == (4, 1)
    [rest] = smaller.remaining
    assert (rest.layer, rest.channels, rest.why) == ("conv1", 1, "a layer must have at least one channel")
    assert_same_answers(smaller, chain)


def test_a_batch_norm_alone_can_make_a_channel_zero(chain: nn.Module) -> None:
    zero_(chain, "bn1", [2])
    assert widths(remove_zeroed(chain, images(1)))["conv1"] == (4, 3)


def test_a_channel_with_a_constant_output_stays(chain: nn.Module) -> None:
    zero_(chain, "conv1", [2])
    chain.bn1.bias.data[2] = 0.5
    smaller = remove_zeroed(chain, images(1))
    assert smaller.channels_removed == 0
    [rest] = smaller.remaining
    assert (rest.layer, rest.channels, rest.why) == ("conv1", 1, "the coupled channels are not zero in bn1")


def test_outputs_of_the_network_are_not_removed(chain: nn.Module) -> None:
    zero_(chain, "fc", [4])
    smaller = remove_zeroed(chain, images(1))
    assert widths(smaller)["fc"] == (5, 5)
    assert [rest.why for rest in smaller.remaining] == ["they are the outputs of the network"]


def test_a_function_that_maps_zero_to_another_value_fails_the_proof() -> None:
    """sigmoid(0) is 1/2, which torch-pruning does not take into account."""
    module = Chain(nn.Sigmoid()).eval()
    zero_(module, "conv1", [1], "bn1")
    zero_(module, "conv2", [0])
    smaller = remove_zeroed(module, images(1))
    assert widths(smaller) == {"conv1": (4, 4), "conv2": (2, 1), "fc": (5, 5)}
    [rest] = smaller.remaining
    assert (rest.layer, rest.channels) == ("conv1", 1)
    assert rest.why.startswith("without them, outputs differ by up to ")
    assert_same_answers(smaller, module)


class Shifted(nn.Module):
    """A network whose padding moves channels in a way that torch-pruning does not trace."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(F.pad(self.conv1(x), (0, 0, 0, 0, 2, 2)) + self.conv2(x)).mean((2, 3))


def test_a_wrong_removal_by_torch_pruning_fails_the_proof() -> None:
    module = Shifted().eval()
    zero_(module, "conv1", [0, 3])
    zero_(module, "conv2", [0, 3])
    smaller = remove_zeroed(module, images(1))
    assert smaller.channels_removed == 0
    assert {rest.layer for rest in smaller.remaining} == {"conv1", "conv2"}
    assert_same_answers(smaller, module)


def test_a_network_that_torch_pruning_cannot_trace_stays_unchanged() -> None:
    module = with_zeros(network("shufflenetv2_x0_5"), 0.3)
    smaller = remove_zeroed(module, images(1))
    assert (smaller.channels_removed, smaller.largest_difference) == (0, 0)
    assert smaller.remaining[0].why.startswith("torch-pruning cannot trace this network")


class Net(nn.Module):
    """(N, 3, H, W) -> (N, 4): `first` to eight channels, `between`, and a convolution of 1x1."""

    def __init__(self, between: Callable[[Tensor], Tensor], first: nn.Module | None = None) -> None:
        super().__init__()
        self.first, self.between, self.last = first or nn.Conv2d(3, 8, 3), between, nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(self.first(x))).mean((2, 3))


class Beside(nn.Module):
    """A network that concatenates the channels of two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(3, 5, 3), nn.Conv2d(3, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.other(x)], 1)


@pytest.mark.parametrize(
    ("between", "zeros", "why"),
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
def test_the_operation_between_two_layers_decides_what_can_be_removed(
    between: Callable[[Tensor], Tensor], zeros: int, why: str | None
) -> None:
    module = Net(between).eval().requires_grad_(False)
    zero_(module, "first", [1, 2])
    smaller = remove_zeroed(module, images(1))
    assert smaller.channels_removed == zeros
    assert [rest.why[: len(why or "")] for rest in smaller.remaining if rest.layer == "first"] == ([why] if why else [])
    assert_same_answers(smaller, module)


def test_concatenated_channels_are_removed_from_their_own_positions() -> None:
    module = Net(nn.Identity(), Beside()).eval().requires_grad_(False)
    zero_(module, "first.one", [4])
    zero_(module, "first.other", [0, 2])
    smaller = remove_zeroed(module, images(1))
    assert widths(smaller) == {"first.one": (5, 4), "first.other": (3, 1), "last": (4, 4)}
    assert torch.equal(smaller.module.last.weight, module.last.weight[:, [0, 1, 2, 3, 6]])


def test_a_transposed_convolution_has_its_filters_in_its_second_dimension() -> None:
    module = Net(nn.ConvTranspose2d(6, 8, 3), nn.Conv2d(3, 6, 3)).eval().requires_grad_(False)
    zero_(module, "first", [0])
    module.between.weight[:, [3, 5]] = module.between.bias[[3, 5]] = 0
    smaller = remove_zeroed(module, images(1))
    assert widths(smaller) == {"first": (6, 5), "between": (8, 6), "last": (4, 4)}
    assert_same_answers(smaller, module)


def test_a_network_that_does_not_run_in_double_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="does not run in double precision"):
        remove_zeroed(Net(lambda x: x.float()).eval(), images(1))


# ---- laws


@pytest.mark.parametrize("fold", [False, True], ids=["whole", "folded"])
@pytest.mark.parametrize("arch", ARCHS)
def test_the_smaller_network_has_the_outputs_of_the_one_with_zeros(arch: str, fold: bool) -> None:
    sparse = with_zeros(network(arch), 0.5)
    sparse = fold_batch_norm(sparse) if fold else sparse
    before = {name: value.clone() for name, value in sparse.state_dict().items()}
    smaller = remove_zeroed(sparse, images(1))
    assert_same_answers(smaller, sparse)
    assert smaller.channels_removed > smaller.channels / 20
    assert smaller.after.macs < 0.8 * smaller.before.macs
    assert smaller.after.macs == sum(layer_macs(smaller.module, images(1)).values())
    assert all(torch.equal(before[name], value) for name, value in sparse.state_dict().items())
    assert not any(part._forward_hooks for part in sparse.modules())
    assert not any(parameter.requires_grad for parameter in sparse.parameters())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("arch", ["simple_cnn", "resnet8", "resnet8-a"])
def test_the_smaller_network_has_the_same_outputs_for_random_zeros(arch: str, seed: int) -> None:
    sparse = with_zeros(network(arch), (seed + 1) / 5, seed)
    assert_same_answers(remove_zeroed(sparse, images(1)), sparse)


@pytest.mark.parametrize("arch", ["simple_cnn", "resnet20", "resnet20-a", "vgg"])
def test_all_zero_filters_of_a_chain_are_removed(arch: str) -> None:
    """The channels of these layers are added to no other channels, so all zero ones can be removed."""
    sparse = with_zeros(network(arch), 0.3)
    smaller = remove_zeroed(sparse, images(1))
    inner = [name for name in widths(smaller) if name.endswith("conv1") or "resnet" not in arch]
    assert len(inner) >= 4
    for name in set(inner) - ({"conv1"} if "resnet" in arch else set()):
        weight = sparse.get_submodule(name).weight
        assert widths(smaller)[name][1] == int(weight.flatten(1).any(1).sum())


@pytest.mark.parametrize("arch", ["resnet8", "resnet8-a"])
def test_a_channel_that_is_zero_in_all_summands_of_a_shortcut_is_removed(arch: str) -> None:
    """Option A: channel 3 of the first stage is channel 8 + 3 of the second and 16 + 8 + 3 of the third."""
    sparse = network(arch)
    places = (3, 11, 27) if arch == "resnet8-a" else (3, 3, 3)
    zero_(sparse, "conv1", [3], "bn1")
    for stage, place in enumerate(places, 1):
        zero_(sparse, f"layer{stage}.0.conv2", [place], f"layer{stage}.0.bn2")
        if stage > 1 and arch == "resnet8":
            zero_(sparse, f"layer{stage}.0.downsample.0", [place], f"layer{stage}.0.downsample.1")
    smaller = remove_zeroed(sparse, images(1))
    assert [widths(smaller)[f"layer{stage}.0.conv2"] for stage in (1, 2, 3)] == [(16, 15), (32, 31), (64, 63)]
    assert smaller.remaining == ()
    assert_same_answers(smaller, sparse)


def test_threads_do_not_disturb_each_other() -> None:
    sparse = [with_zeros(network("resnet8"), 0.3, seed) for seed in range(4)]
    expected = [widths(remove_zeroed(module, images(1))) for module in sparse]
    with ThreadPoolExecutor(4) as pool:
        smaller = list(pool.map(lambda module: remove_zeroed(module, images(1)), sparse))
    assert [widths(one) for one in smaller] == expected
    for one, module in zip(smaller, sparse, strict=True):
        assert_same_answers(one, module)


@pytest.mark.parametrize("name", ["simple_cnn", "resnet20", "mobilenetv2"])
def test_the_smaller_network_predicts_the_same_classes_of_real_images(name: str, test_images: ImageSet) -> None:
    model = load_bundled(name)
    sparse = with_zeros(model.module, 0.1)
    small = remove_zeroed(sparse, model.normalization(test_images[:2].pixels)).module
    one, other = (evaluate(module, test_images[:500], model.normalization) for module in (sparse, small))
    assert torch.equal(one.predictions, other.predictions)
    assert len(one.predictions.unique()) > 1
