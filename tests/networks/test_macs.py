"""Multiply-accumulates and bit operations, counted by hand."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from compression.core.compress import compress
from compression.core.evidence import Evidence
from compression.core.observe import observe
from compression.core.record import bit_operations
from compression.networks.architectures.resnet import ResNet
from compression.networks.architectures.table import ARCHITECTURES
from compression.networks.macs import layer_macs
from compression.networks.model import freeze_
from compression.spec import ActivationSpec, CompressionSpec, LayerSpec, PruneSpec, QuantSpec

IMAGE = torch.zeros(1, 3, 32, 32)


class Small(nn.Module):
    """A strided convolution of 3x3 to 4 x 16 x 16, then a linear layer to 10."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.fc = nn.Linear(4 * 16 * 16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(x).flatten(1))


def test_macs_on_paper() -> None:
    assert layer_macs(Small(), IMAGE) == {"conv": 16 * 16 * 4 * 3 * 9, "fc": 1024 * 10}


def test_macs_of_resnet20_follow_from_its_shapes() -> None:
    """conv1, three stages of six 3x3 convolutions (two of which see half the channels), shortcuts, fc."""
    first, last = 32 * 32 * 3 * 16 * 9, 64 * 10
    full = [(32 // 2**stage) ** 2 * (16 * 2**stage) ** 2 * 9 for stage in range(3)]
    shortcuts = 16 * 16 * 16 * 32 + 8 * 8 * 32 * 64
    stages = 6 * full[0] + 5.5 * full[1] + 5.5 * full[2]
    assert sum(layer_macs(freeze_(ResNet(3)), IMAGE).values()) == first + stages + shortcuts + last
    assert sum(layer_macs(freeze_(ResNet(3, "A")), IMAGE).values()) == first + stages + last


@pytest.mark.parametrize(
    "arch", ["cnn3", "mobilenetv2", "resnet8-a", "resnet20", "shufflenetv2_x0_5", "vgg", "vgg11-linear", "repvgg_a0"]
)
def test_the_macs_of_layers_add_up_to_the_total(arch: str) -> None:
    module = freeze_(ARCHITECTURES[arch].make())
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        module(IMAGE)
    assert 2 * sum(layer_macs(module, IMAGE).values()) == counter.get_total_flops()


def test_operations_of_other_threads_are_not_counted() -> None:
    count = partial(layer_macs, inputs=IMAGE)
    modules = [freeze_(ARCHITECTURES["resnet8"].make()) for _ in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count, modules)) == [count(modules[0])] * len(modules)


def test_bit_operations_on_paper() -> None:
    module = Small().eval()
    spec = CompressionSpec("small", PruneSpec(sparsity=0.9), QuantSpec(4), (LayerSpec("fc", bits=8),))
    assert bit_operations(compress(module, spec), {"conv": 100, "fc": 10}) == 100 * 4 * 32 + 10 * 8 * 32


def test_bit_operations_with_activations_on_paper() -> None:
    """A layer that stays float has float inputs too."""
    module = Small().eval()
    spec = CompressionSpec("small", weights=QuantSpec(4), layers=(LayerSpec("fc", 32),), activations=ActivationSpec(6))
    compressed = compress(module, spec, Evidence(calibration=observe(module, torch.ones(1, 3, 32, 32))))
    assert bit_operations(compressed, {"conv": 100, "fc": 10}) == 100 * 4 * 6 + 10 * 32 * 32
