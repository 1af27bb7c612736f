"""Networks: shapes and parameters as in the papers, and bundled weights as accurate as their headers say."""

import copy
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from compression.data.cifar10 import TRAIN
from compression.data.images import ImageSet
from compression.evaluation.evaluation import evaluate
from compression.evaluation.normalization_trial import load_checkpoint
from compression.networks.architectures import repvgg, shufflenetv2, vgg
from compression.networks.architectures.plain import SimpleCNN
from compression.networks.architectures.resnet import BasicBlock, PadShortcut, ResNet
from compression.networks.architectures.table import ARCHITECTURES
from compression.networks.bundled import bundled_names, load_bundled, load_network_file, save_network
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS, Normalization
from compression.paths import ASSETS
from compression.results.landscape import read_landscape
from compression.spec import CompressionSpec
from tests.support.networks import images, network, randomize_norms

each_bundled = pytest.mark.parametrize("name", bundled_names())


# ---- architectures


@pytest.mark.parametrize(
    ("module", "parameters"),
    [
        (SimpleCNN(), (3 * 9 + 1) * 16 + (16 * 9 + 1) * 32 + (2048 + 1) * 128 + (128 + 1) * 10),
        (ResNet(3, "A"), 269_722),  # the 0.27M of He et al. 2016, table 6
        (ResNet(3, "B"), 269_722 + (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)),
    ],
    ids=["simple_cnn", "resnet20-A", "resnet20-B"],
)
def test_the_number_of_parameters_follows_from_the_paper(module: nn.Module, parameters: int) -> None:
    assert sum(p.numel() for p in module.parameters()) == parameters


@pytest.mark.parametrize("name", vgg.PLANS)
def test_batch_norm_and_hidden_layers_of_a_vgg_have_the_parameters_they_should(name: str) -> None:
    def parameters(arch: str) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in ARCHITECTURES[arch].make().parameters())

    channels = sum(width for width in vgg.PLANS[name] if isinstance(width, int))
    assert parameters(f"{name}_bn") - parameters(name) == 2 * channels
    assert parameters(name) - parameters(f"{name}-linear") == 2 * (512 * 512 + 512)


@pytest.mark.parametrize("blocks", [1, 3, 5])
def test_the_depth_is_six_times_the_blocks_plus_two(blocks: int) -> None:
    layers = [m for m in ResNet(blocks, "A").modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 6 * blocks + 2


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_images_become_ten_logits(arch: str) -> None:
    """Checked by the shapes alone."""
    with torch.device("meta"), torch.inference_mode():
        assert ARCHITECTURES[arch].make().eval()(torch.empty(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(
    ("arch", "stages", "shapes"),
    [
        ("resnet8", ("layer1", "layer2", "layer3"), [(16, 32), (32, 16), (64, 8)]),
        ("resnet8-a", ("layer1", "layer2", "layer3"), [(16, 32), (32, 16), (64, 8)]),
        (
            "vgg16_bn",
            ("features.6", "features.13", "features.23", "features.33", "features.43"),
            [(64, 16), (128, 8), (256, 4), (512, 2), (512, 1)],
        ),
        ("vgg", ("features",), [(512, 2)]),
        (
            "mobilenetv2",
            ("features.0", "features.4", "features.8", "features.12"),
            [(16, 32), (24, 16), (48, 8), (512, 4)],
        ),
        (
            "mobilenetv2_x1_0",
            ("features.0", "features.1", "features.3", "features.6", "features.13", "features.17", "features.18"),
            [(32, 32), (16, 32), (24, 32), (32, 16), (96, 8), (320, 4), (1280, 4)],
        ),
        (
            "shufflenetv2_x1_0",
            ("conv1", "stage2", "stage3", "stage4", "conv5"),
            [(24, 32), (116, 16), (232, 8), (464, 4), (1024, 4)],
        ),
        (
            "repvgg_a0",
            ("stage0", "stage1", "stage2", "stage3", "stage4"),
            [(48, 32), (48, 32), (96, 16), (192, 8), (1280, 4)],
        ),
    ],
)
def test_stages_have_the_channels_and_the_sizes_of_the_paper(
    arch: str, stages: tuple[str, ...], shapes: list[tuple[int, int]]
) -> None:
    with torch.device("meta"):
        module = ARCHITECTURES[arch].make()
        sizes = []
        for stage in stages:
            module.get_submodule(stage).register_forward_hook(lambda _, __, out: sizes.append(tuple(out.shape[1:])))
        module(torch.zeros(2, 3, 32, 32))
    assert sizes == [(channels, size, size) for channels, size in shapes]


def test_a_shortcut_without_parameters_takes_every_second_pixel_and_pads_channels_on_both_sides() -> None:
    x = torch.arange(2.0 * 4 * 4).view(1, 2, 4, 4)
    out = PadShortcut(2)(x)
    assert out[0, 1:3].tolist() == [[[0, 2], [8, 10]], [[16, 18], [24, 26]]]
    assert out[0, [0, 3]].abs().sum() == 0


def test_a_block_whose_convolutions_are_zero_is_its_shortcut() -> None:
    block = BasicBlock(4, 8, 2, "A").eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(x), F.relu(PadShortcut(4)(x)))


def test_an_unknown_shortcut_is_refused() -> None:
    with pytest.raises(ValueError, match="shortcut option must be 'A' or 'B', got 'C'"):
        ResNet(3, "C")


# ---- ours beside torchvision's, with the same weights


def same_outputs(ours: nn.Module, theirs: nn.Module, x: torch.Tensor) -> None:
    """Loads the weights of `ours` into `theirs`, all of them, and compares."""
    theirs.load_state_dict(ours.state_dict())
    with torch.inference_mode():
        expected = theirs.eval()(x)
        assert expected.std() > 0
        torch.testing.assert_close(ours.eval()(x), expected)


@pytest.mark.parametrize(
    ("arch", "configuration"),
    [("vgg11_bn", "A"), ("vgg13_bn", "B"), ("vgg13", "B"), ("vgg16_bn", "D"), ("vgg19_bn", "E")],
)
def test_our_vgg_is_torchvisions(arch: str, configuration: str, torchvision: ModuleType) -> None:
    """torchvision's linear layers are for images of 224 pixels; those of public networks for CIFAR-10 replace them."""
    theirs_of = torchvision.models.vgg
    with torch.device("meta"):
        theirs = theirs_of.VGG(nn.Identity(), init_weights=False)
    theirs.features = theirs_of.make_layers(theirs_of.cfgs[configuration], batch_norm=arch.endswith("_bn"))
    theirs.avgpool = nn.AdaptiveAvgPool2d(1)
    hidden_layers = [nn.Linear(512, 512), nn.ReLU(), nn.Dropout(), nn.Linear(512, 512), nn.ReLU(), nn.Dropout()]
    theirs.classifier = nn.Sequential(*hidden_layers, nn.Linear(512, 10))
    same_outputs(network(arch), theirs, images(1))


@pytest.mark.parametrize("width", [0.5, 0.75, 1.0, 1.4])
def test_our_mobilenetv2_is_torchvisions(width: float, torchvision: ModuleType) -> None:
    """torchvision's is for images of 224 pixels; ours has no stride in the first convolution and in the second row."""
    rows = [[1, 16, 1, 1], [6, 24, 2, 1], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]]
    theirs = torchvision.models.mobilenetv2.MobileNetV2(10, width, inverted_residual_setting=rows)
    theirs.features[0][0].stride = (1, 1)
    same_outputs(network(f"mobilenetv2_x{width}".replace(".", "_")), theirs, images(1))


@pytest.mark.parametrize("size", shufflenetv2.WIDTHS)
def test_our_shufflenetv2_is_torchvisions(size: str, torchvision: ModuleType) -> None:
    """torchvision's is for images of 224 pixels; ours has no stride in the first convolution and no max-pool."""
    theirs = torchvision.models.shufflenetv2.ShuffleNetV2([4, 8, 4], list(shufflenetv2.WIDTHS[size]), 10)
    theirs.conv1[0].stride = (1, 1)
    theirs.maxpool = nn.Identity()
    same_outputs(network(f"shufflenetv2_{size}"), theirs, images(1))


@pytest.mark.parametrize(("channels", "stride"), [(16, 1), (32, 2)])
def test_our_basic_block_is_torchvisions(channels: int, stride: int, torchvision: ModuleType) -> None:
    ours = randomize_norms(BasicBlock(16, channels, stride, "B"))
    shortcut = None if stride == 1 else nn.Sequential(nn.Conv2d(16, 32, 1, 2, bias=False), nn.BatchNorm2d(32))
    theirs = torchvision.models.resnet.BasicBlock(16, channels, stride, shortcut)
    same_outputs(ours, theirs, torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("depth", [18, 50])
def test_our_wide_resnets_are_torchvisions(depth: int, pool: bool, torchvision: ModuleType) -> None:
    """torchvision's are for images of 224 pixels; ours have no stride in the first convolution."""
    theirs = getattr(torchvision.models, f"resnet{depth}")(num_classes=10)
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    if not pool:
        theirs.maxpool = nn.Identity()
    same_outputs(network(f"resnet{depth}-maxpool" if pool else f"resnet{depth}"), theirs, images(1))


@pytest.mark.parametrize(("channels", "stride"), [(4, 1), (4, 2), (6, 1)])
def test_a_repvgg_block_is_one_convolution(channels: int, stride: int) -> None:
    """Section 3.3 of the paper: each branch is a 3x3 convolution with a bias, and so is the sum of branches."""
    block = randomize_norms(repvgg.Block(4, channels, stride))
    branches = [
        (block.rbr_dense.conv.weight, block.rbr_dense.bn),
        (F.pad(block.rbr_1x1.conv.weight, (1, 1, 1, 1)), block.rbr_1x1.bn),
    ]
    assert (block.rbr_identity is not None) == (channels == 4 and stride == 1)
    if block.rbr_identity is not None:
        branches.append((F.pad(torch.eye(4).view(4, 4, 1, 1), (1, 1, 1, 1)), block.rbr_identity))
    gains = [norm.weight / (norm.running_var + norm.eps).sqrt() for _, norm in branches]
    kernel = sum(weight * gain.view(-1, 1, 1, 1) for (weight, _), gain in zip(branches, gains, strict=True))
    bias = sum(norm.bias - norm.running_mean * gain for (_, norm), gain in zip(branches, gains, strict=True))
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(x), F.relu(F.conv2d(x, kernel, bias, stride, padding=1)))


# ---- normalisation


def test_normalisation_on_paper() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    out = Normalization("own", (0.5, 0.2, 0.0), (0.5, 1.0, 0.25))(pixels)
    torch.testing.assert_close(out[0, :, 0, 0], torch.tensor([-1.0, 0.0, 4.0]))


def test_normalising_leaves_the_pixels_alone() -> None:
    pixels = torch.full((2, 3, 32, 32), 7, dtype=torch.uint8)
    NORMALIZATIONS["imagenet"](pixels)
    assert (pixels == 7).all()


# ---- the digest


def digest(module: nn.Module, normalization: str = "cifar10", name: str = "a") -> str:
    return FloatModel(name, module, NORMALIZATIONS[normalization]).digest


def test_the_same_weights_have_the_same_digest_whatever_their_name_and_layout(random_resnet: nn.Module) -> None:
    planes = copy.deepcopy(random_resnet).to(memory_format=torch.contiguous_format)
    assert not planes.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert random_resnet.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert digest(planes, name="b") == digest(random_resnet)
    assert len(digest(planes)) == 64


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.conv.weight[0, 0, 0, 0].add_(1e-6),
        lambda net: net.bn.running_var[1].mul_(2),
        lambda net: net.conv.weight.copy_(net.conv.weight.flip(0)),
        lambda net: setattr(net.bn, "eps", 1e-3),
        lambda net: setattr(net.conv, "stride", (2, 2)),
        lambda net: setattr(net.fc, "weight", nn.Parameter(net.fc.weight.double())),
        lambda net: net.add_module("relu", nn.ReLU()),
        lambda net: setattr(net, "fc", nn.Sequential(net.fc)),
    ],
    ids=["a weight", "a statistic", "an order", "an epsilon", "a stride", "a precision", "a layer", "a name"],
)
def test_a_network_that_computes_differently_has_another_digest(
    change: Callable[[nn.Module], object], net: nn.Module
) -> None:
    before = digest(net)
    assert digest(copy.deepcopy(net)) == before
    with torch.no_grad():
        change(net)
    assert digest(net) != before


def test_weights_that_only_have_another_shape_have_another_digest() -> None:
    """The bytes and the names are equal; only the shapes differ."""

    class Weights(nn.Module):
        def __init__(self, shape: tuple[int, ...]) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(shape))

    assert digest(Weights((2, 3))) != digest(Weights((3, 2)))


def test_the_normalisation_counts_by_its_numbers_and_not_by_its_name(net: nn.Module) -> None:
    half = NORMALIZATIONS["half"]
    other = FloatModel("a", net, Normalization("another name", half.mean, half.std))
    assert other.digest == digest(net, "half")
    assert len({digest(net, name) for name in NORMALIZATIONS}) == len(NORMALIZATIONS)


def test_a_bundled_network_brought_along_as_a_checkpoint_has_the_same_digest() -> None:
    """Recognition drops the counters of training steps, which no computation uses."""
    bundled = load_bundled("resnet20")
    uploaded = load_checkpoint(ASSETS / "resnet20.safetensors", bundled.normalization)
    assert uploaded.module.bn1.num_batches_tracked != bundled.module.bn1.num_batches_tracked
    assert uploaded.digest == bundled.digest


# ---- bundled networks


def test_there_are_bundled_networks_and_together_they_are_small() -> None:
    assert bundled_names() == ["cnn3", "mobilenetv2", "resnet20", "simple_cnn", "vgg"]
    assert sum(path.stat().st_size for path in ASSETS.iterdir()) < 20_000_000


@each_bundled
def test_a_bundled_network_says_where_it_comes_from(name: str) -> None:
    model = load_bundled(name)
    assert model.about["arch"] == name
    assert model.about["recipe"]["normalization"] == model.normalization.name
    assert TRAIN.fingerprint in model.about["trained_on"]
    assert model.parameters == sum(p.numel() for p in ARCHITECTURES[name].make().parameters())


@each_bundled
def test_a_bundled_network_is_frozen(name: str) -> None:
    module = load_bundled(name).module
    assert not any(part.training for part in module.modules())
    assert not any(parameter.requires_grad for parameter in module.parameters())


@each_bundled
def test_a_bundled_network_is_as_good_as_its_header_says(name: str, test_images: ImageSet) -> None:
    """The committed predictions of all 10,000 images have that accuracy, and the first 1,000 are made again here.

    Another CPU may sum in another order and decide one of them differently.
    """
    model = load_bundled(name)
    landscape = read_landscape(model).get(CompressionSpec(name)).evaluation
    assert landscape.total == 10_000
    assert landscape.accuracy == model.accuracy
    evaluation = evaluate(model.module, test_images[:1000], model.normalization)
    assert int((evaluation.predictions != landscape.predictions[:1000]).sum()) <= 1


def test_an_unknown_network_is_refused_and_the_others_named() -> None:
    with pytest.raises(ValueError, match=r"there is no network 'resnet21'; there are .*simple_cnn"):
        load_bundled("resnet21")


@pytest.mark.parametrize("name", ["../assets/simple_cnn", "", "simple_cnn.safetensors"])
def test_a_path_is_no_name_of_a_network(name: str) -> None:
    with pytest.raises(ValueError, match="there is no network"):
        load_bundled(name)


def test_saving_what_was_loaded_gives_the_same_file(tmp_path: Path, simple_cnn: FloatModel) -> None:
    again = tmp_path / "again.safetensors"
    save_network(again, simple_cnn.module, simple_cnn.about)
    assert again.read_bytes() == (ASSETS / "simple_cnn.safetensors").read_bytes()


def test_kernels_are_stored_in_half_precision_and_the_rest_in_full(tmp_path: Path) -> None:
    module = ResNet(3)
    about = {"arch": "resnet20", "normalization": "cifar10", "test_accuracy": None}
    save_network(tmp_path / "r.safetensors", module, about)
    network = load_network_file(tmp_path / "r.safetensors")
    assert (network.name, network.about, network.accuracy) == ("r", about, None)
    for name, value in network.module.state_dict().items():
        original = module.state_dict()[name]
        assert torch.equal(value, original.half().float() if original.dim() > 1 else original), name
