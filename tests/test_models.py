"""Networks: their shapes on paper, and the bundled weights, which are as good as their headers say."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from compression.cifar10 import TRAIN
from compression.data import ImageSet
from compression.evaluate import evaluate
from compression.models import zoo
from compression.models.architectures import ARCHITECTURES
from compression.models.normalization import NORMALIZATIONS, Normalization
from compression.models.resnet import BasicBlock, PadShortcut, ResNet
from compression.models.simple_cnn import SimpleCNN

each_bundled = pytest.mark.parametrize("name", zoo.bundled())


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


@pytest.mark.parametrize("blocks", [1, 3, 5])
def test_the_depth_is_six_times_the_blocks_plus_two(blocks: int) -> None:
    layers = [m for m in ResNet(blocks, "A").modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 6 * blocks + 2


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_images_become_ten_logits(arch: str) -> None:
    module = zoo.frozen(ARCHITECTURES[arch].make())
    assert module(torch.zeros(3, 3, 32, 32)).shape == (3, 10)


def test_each_stage_of_a_resnet_halves_the_image() -> None:
    module = ResNet(1)
    sizes = []
    for stage in (module.layer1, module.layer2, module.layer3):
        stage.register_forward_hook(lambda _, __, out: sizes.append(tuple(out.shape[1:])))
    module(torch.zeros(1, 3, 32, 32))
    assert sizes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


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


# ---- normalisation


def test_normalisation_on_paper() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    out = Normalization("own", (0.5, 0.2, 0.0), (0.5, 1.0, 0.25))(pixels)
    torch.testing.assert_close(out[0, :, 0, 0], torch.tensor([-1.0, 0.0, 4.0]))


def test_normalising_leaves_the_pixels_alone() -> None:
    pixels = torch.full((2, 3, 32, 32), 7, dtype=torch.uint8)
    NORMALIZATIONS["imagenet"](pixels)
    assert (pixels == 7).all()


# ---- the zoo


def test_there_are_bundled_networks_and_together_they_are_small() -> None:
    assert set(zoo.bundled()) <= set(ARCHITECTURES)
    assert "simple_cnn" in zoo.bundled()
    assert sum(path.stat().st_size for path in zoo.ASSETS.iterdir()) < 2_000_000


@each_bundled
def test_a_bundled_network_says_where_it_comes_from(name: str) -> None:
    model = zoo.load_bundled(name)
    assert model.about["arch"] == name
    assert model.about["recipe"]["normalization"] == model.normalization.name
    assert TRAIN.fingerprint in model.about["trained_on"]
    assert model.parameters == sum(p.numel() for p in ARCHITECTURES[name].make().parameters())


@each_bundled
def test_a_bundled_network_is_frozen(name: str) -> None:
    module = zoo.load_bundled(name).module
    assert not any(part.training for part in module.modules())
    assert not any(parameter.requires_grad for parameter in module.parameters())


@each_bundled
def test_a_bundled_network_is_as_good_as_its_header_says(name: str, test_images: ImageSet) -> None:
    """On all 10,000 images; another CPU may sum in another order and decide three of them differently."""
    model = zoo.load_bundled(name)
    found = evaluate(model.module, test_images, model.normalization)
    assert found.total == 10_000
    assert found.accuracy == pytest.approx(model.accuracy, abs=3.5e-4)


def test_an_unknown_network_is_refused_and_the_others_named() -> None:
    with pytest.raises(ValueError, match=r"there is no network 'resnet21'; there are .*simple_cnn"):
        zoo.load_bundled("resnet21")


@pytest.mark.parametrize("name", ["../assets/simple_cnn", "", "simple_cnn.safetensors"])
def test_a_path_is_no_name_of_a_network(name: str) -> None:
    with pytest.raises(ValueError, match="there is no network"):
        zoo.load_bundled(name)


def test_saving_what_was_loaded_gives_the_same_file(tmp_path: Path, simple_cnn: zoo.FloatModel) -> None:
    again = tmp_path / "again.safetensors"
    zoo.save(again, simple_cnn.module, simple_cnn.about)
    assert again.read_bytes() == (zoo.ASSETS / "simple_cnn.safetensors").read_bytes()


def test_kernels_are_stored_in_half_precision_and_the_rest_in_full(tmp_path: Path) -> None:
    module = ResNet(3)
    about = {"arch": "resnet20", "normalization": "cifar10", "test_accuracy": None}
    zoo.save(tmp_path / "r.safetensors", module, about)
    stored = zoo.load_file(tmp_path / "r.safetensors")
    assert (stored.name, stored.about, stored.accuracy) == ("r", about, None)
    for name, value in stored.module.state_dict().items():
        original = module.state_dict()[name]
        assert torch.equal(value, original.half().float() if original.dim() > 1 else original), name
