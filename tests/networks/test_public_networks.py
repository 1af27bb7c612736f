"""Networks that people bring, written down here as their authors describe them, are read and compute the same."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compression.core.compress import compress
from compression.data.cifar10 import TEST
from compression.data.images import ImageSet
from compression.errors import CheckpointError
from compression.evaluation.architecture_trial import choose_twin
from compression.files.packed_file import to_bytes
from compression.files.packed_reader import load_compressed
from compression.networks.architectures.table import ARCHITECTURES, MAX_PARAMETERS, find_architecture
from compression.networks.checkpoints.recognition import recognise
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.spec import CompressionSpec, QuantSpec
from tests.support.networks import Tensors, images, randomize_norms, tensors


class TutorialNet(nn.Module):
    """The network of PyTorch's tutorial "Training a Classifier"."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        for conv in (self.conv1, self.conv2):
            x = F.max_pool2d(F.relu(conv(x)), 2)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class LabVGG(nn.Module):
    """The VGG of the laboratories of MIT 6.5940: numbered layers in `backbone`, and one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = 3
        for number, width in enumerate((64, 128, 256, 256, 512, 512, 512, 512)):
            layers[f"conv{number}"] = nn.Conv2d(channels, width, 3, padding=1, bias=False)
            layers[f"bn{number}"] = nn.BatchNorm2d(width)
            layers[f"relu{number}"] = nn.ReLU()
            if number % 2:
                layers[f"pool{number // 2}"] = nn.MaxPool2d(2)
            channels = width
        self.backbone = nn.Sequential(layers)
        self.classifier = nn.Linear(512, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.backbone(x).mean((2, 3)))


class Functional(nn.Module):
    """A network that is a function of its tensors by name: `norm`, `conv` and `linear` look them up."""

    def __init__(self, arch: str, compute: Callable[["Functional", Tensor], Tensor]) -> None:
        super().__init__()
        self.tensors, self.compute = tensors(arch), compute

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(self, x)

    def conv(self, name: str, x: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
        weight = self.tensors[f"{name}.weight"]
        return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=groups)

    def norm(self, name: str, x: Tensor) -> Tensor:
        mean, var, weight, bias = (
            self.tensors[f"{name}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, weight, bias)

    def linear(self, x: Tensor) -> Tensor:
        return F.linear(x.mean((2, 3)), self.tensors["fc.weight"], self.tensors["fc.bias"])


def preact(net: Functional, x: Tensor) -> Tensor:
    x = net.conv("conv1", x)
    for layer in range(1, 5):
        for block in range(2):
            name, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            out = F.relu(net.norm(f"{name}.bn1", x))
            shortcut = net.conv(f"{name}.downsample.0", out, stride) if stride > 1 else x
            out = F.relu(net.norm(f"{name}.bn2", net.conv(f"{name}.conv1", out, stride)))
            x = net.conv(f"{name}.conv2", out) + shortcut
    return net.linear(x)


def mobilenet(net: Functional, x: Tensor) -> Tensor:
    x = F.relu(net.norm("bn1", net.conv("conv1", x)))
    for block, stride in enumerate((1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)):
        name = f"layers.{block}"
        x = F.relu(net.norm(f"{name}.bn1", net.conv(f"{name}.conv1", x, stride, x.shape[1])))
        x = F.relu(net.norm(f"{name}.bn2", net.conv(f"{name}.conv2", x)))
    return net.linear(x)


def mobilenetv2(net: Functional, x: Tensor) -> Tensor:
    x = F.relu(net.norm("bn1", net.conv("conv1", x)))
    strides = (1, 1, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)
    for block, stride in enumerate(strides):
        name = f"layers.{block}"
        out = F.relu(net.norm(f"{name}.bn1", net.conv(f"{name}.conv1", x)))
        out = F.relu(net.norm(f"{name}.bn2", net.conv(f"{name}.conv2", out, stride, out.shape[1])))
        out = net.norm(f"{name}.bn3", net.conv(f"{name}.conv3", out))
        if f"{name}.downsample.0.weight" in net.tensors:
            x = net.norm(f"{name}.downsample.1", net.conv(f"{name}.downsample.0", x))
        x = out + x if stride == 1 else out
    return net.linear(F.relu(net.norm("bn2", net.conv("conv2", x))))


def renamed(arch: str) -> dict[str, Tensor]:
    """Returns the tensors of `arch` under the names that most public networks for CIFAR-10 have."""
    names = {"downsample": "shortcut", "fc": "linear"}
    return {".".join(names.get(part, part) for part in key.split(".")): value for key, value in tensors(arch).items()}


PUBLIC: dict[str, tuple[Callable[[], nn.Module], int]] = {  # with the numbers of parameters that are published
    "lenet5": (TutorialNet, 62_006),
    "vgg9-lab": (LabVGG, 9_228_362),
    "preact_resnet18": (lambda: Functional("preact_resnet18", preact), 11_171_146),
    "mobilenet": (lambda: Functional("mobilenet", mobilenet), 3_217_226),
    "mobilenetv2_relu": (lambda: Functional("mobilenetv2_relu", mobilenetv2), 2_296_922),
}


@pytest.mark.parametrize("arch", PUBLIC)
def test_a_public_network_is_read_and_computes_the_same(arch: str) -> None:
    make, parameters = PUBLIC[arch]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = randomize_norms(make())
    recognition = recognise(renamed(arch) if isinstance(theirs, Functional) else dict(theirs.state_dict()))
    assert recognition.architecture.name == arch
    assert sum(parameter.numel() for parameter in recognition.module.parameters()) == parameters
    with torch.inference_mode():
        expected = theirs(images(2))
        assert expected.std() > 0
        torch.testing.assert_close(recognition.module(images(2)), expected)
        torch.testing.assert_close(fold_batch_norm(recognition.module)(images(2)), expected, rtol=1e-4, atol=1e-4)


# ---- twins: the same tensors


def fitted(arch: str) -> tuple[Tensors, ImageSet]:
    """Returns random images and weights of `arch`, whose linear layer is fitted to the images' random labels."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (40, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.randint(10, (40,), generator=generator)
    module = ARCHITECTURES[arch].make().eval()
    module.load_state_dict(tensors("resnet18"))
    module.fc = nn.Identity()
    with torch.inference_mode():
        features = module(NORMALIZATIONS["cifar10"](pixels))
        weight = torch.linalg.lstsq(features, 10 * F.one_hot(labels, 10).float()).solution.T
    state = tensors("resnet18") | {"fc.weight": weight.clone(), "fc.bias": torch.zeros(10)}
    return state, ImageSet(pixels, labels, "made here", TEST)


@pytest.mark.parametrize("arch", ["resnet18", "resnet18-maxpool"])
def test_the_loss_decides_whether_there_is_a_max_pool_that_no_tensor_tells(arch: str) -> None:
    state, trial_images = fitted(arch)
    chosen = choose_twin(recognise(state), trial_images)
    assert chosen.architecture.name == arch
    assert f"as {ARCHITECTURES[arch].twin}, which has the same tensors" in chosen.description


def test_an_architecture_that_is_named_is_taken_and_others_have_no_twin() -> None:
    assert recognise(tensors("resnet18"), "resnet18-maxpool").architecture.name == "resnet18-maxpool"
    recognised = recognise(tensors("resnet8"))
    assert choose_twin(recognised, ImageSet(*[torch.empty(0)] * 2, "none", TEST)) is recognised


# ---- other widths

WIDTHS = {
    "lenet5": (12, 32, 60, 42),
    "simple_cnn": (8, 24, 64),
    "cnn3": (8, 16, 24, 32),
    "resnet8": (8, 16, 32),
    "resnet20-a": (24, 48, 96),
    "resnet18": (16, 32, 64, 128),
    "preact_resnet18": (16, 32, 64, 128),
    "vgg11_bn-linear": (60, 100, 200, 256, 300, 400, 99, 77),
    "vgg11": (16, 16, 16, 16, 16, 16, 16, 16, 32, 24),
    "vgg9-lab": (32, 64, 128, 128, 256, 256, 256, 200),
    "mobilenetv2": (8, 8, 16, 24, 48, 128),
    "mobilenetv2_x1_0": (8, 8, 16, 16, 24, 32, 40, 64, 256),
    "repvgg_a0": (24, 48, 96, 256),
}


def narrow(arch: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return randomize_norms(ARCHITECTURES[arch].make(widths=WIDTHS[arch]))


@pytest.mark.parametrize("arch", WIDTHS)
def test_a_known_family_is_read_at_any_width(arch: str) -> None:
    module = narrow(arch)
    recognition = recognise(dict(module.state_dict()))
    text = ",".join(map(str, WIDTHS[arch]))
    assert recognition.architecture.name == f"{arch}:{text}"
    assert f"widths {text.replace(',', ', ')}" in recognition.description
    with torch.inference_mode():
        torch.testing.assert_close(recognition.module(images(2)), module(images(2)), rtol=1e-4, atol=1e-4)
    assert recognise(dict(fold_batch_norm(module).state_dict()), arch).folded == ("norm" in repr(module).lower())


def test_a_packed_file_keeps_the_widths(tmp_path: Path) -> None:
    recognition = recognise(dict(narrow("resnet8").state_dict()))
    model = FloatModel("m", recognition.module, NORMALIZATIONS["half"], None, {"arch": recognition.architecture.name})
    compressed = compress(model.module, CompressionSpec("m", weights=QuantSpec(4)))
    (tmp_path / "m.safetensors").write_bytes(to_bytes(compressed, model))
    loaded = load_compressed(tmp_path / "m.safetensors")
    assert all(
        torch.equal(value, compressed.module.state_dict()[key]) for key, value in loaded.module.state_dict().items()
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet20:8,16", r"resnet20 takes 3 widths, got \(8, 16\)"),
        ("resnet20:8,16,0", "takes 3 widths"),
        ("resnet20:8,16,x", "takes 3 widths"),
        ("resnet20:", "takes 3 widths"),
        ("resnet20:99999999,99999999,99999999", "takes 3 widths"),
        ("resnet20:9999,9999,9999", rf"parameters; at most {MAX_PARAMETERS:,}"),
        ("mobilenet:3", "mobilenet takes 0 widths"),
        ("alexnet:3", "there is no architecture 'alexnet'"),
    ],
)
def test_wrong_widths_are_refused(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        find_architecture(name)


def test_a_narrow_network_with_a_missing_tensor_is_compared_with_the_narrow_architecture() -> None:
    state = dict(narrow("resnet8").state_dict())
    del state["layer2.0.conv2.weight"]
    with pytest.raises(CheckpointError, match=r"is not a resnet8:8,16,32: it lacks layer2\.0\.conv2\.weight$"):
        recognise(state)
