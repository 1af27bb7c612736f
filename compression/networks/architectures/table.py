"""The table of all architectures that weights can be loaded into, by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import accumulate

import torch
from torch import nn

from compression.networks.architectures import mobilenetv2, repvgg, shufflenetv2, vgg
from compression.networks.architectures.mobilenet import MobileNet, ReluMobileNetV2
from compression.networks.architectures.plain import CNN3, LeNet, SimpleCNN
from compression.networks.architectures.preact_resnet import PreActResNet
from compression.networks.architectures.resnet import FOUR_STAGES, BasicBlock, Bottleneck, ResNet

MAX_PARAMETERS = 64_000_000  # of a network with other widths than those in the table


@dataclass(frozen=True)
class Architecture:
    """An architecture: its `name` in file headers and commands, a `description`, and `make`, which builds it untrained.

    `landmarks` are names of tensors. Weights that lack one of them belong to another architecture. `width_names` are
    the tensors whose output channels are the `widths` that `make` takes, empty if its widths are fixed. `twin` is the
    name of another architecture that has the same tensors and computes something else with them.
    """

    name: str
    description: str
    landmarks: tuple[str, ...]
    make: Callable[..., nn.Module]
    width_names: tuple[str, ...] = ()
    twin: str | None = None

    def resize(self, widths: tuple[int, ...]) -> "Architecture":
        """Returns this architecture with other `widths`. Raises ValueError for wrong ones."""
        if len(widths) != len(self.width_names) or min(widths, default=0) < 1 or max(widths) > MAX_PARAMETERS:
            raise ValueError(f"{self.name} takes {len(self.width_names)} widths, got {widths}")
        make = partial(self.make, widths=widths)
        with torch.device("meta"):  # without memory for its numbers
            parameters = sum(parameter.numel() for parameter in make().parameters())
        if parameters > MAX_PARAMETERS:
            raise ValueError(f"{self.name} with these widths has {parameters:,} parameters; at most {MAX_PARAMETERS:,}")
        text = ",".join(map(str, widths))
        description = f"{self.description}, widths {text.replace(',', ', ')}"
        twin = self.twin and f"{self.twin}:{text}"
        return replace(self, name=f"{self.name}:{text}", description=description, make=make, twin=twin)


def _resnet(blocks: int, option: str) -> Architecture:
    name = f"resnet{6 * blocks + 2}"
    kind = {"A": "without parameters (option A)", "B": "of 1x1 convolutions (option B)"}[option]
    return Architecture(
        name if option == "B" else f"{name}-a",
        f"ResNet-{6 * blocks + 2} with shortcuts {kind}",
        (f"layer3.{blocks - 1}.conv2.weight", *(["layer2.0.downsample.0.weight"] if option == "B" else [])),
        partial(ResNet, blocks, option),
        _stage_names(3),
    )


def _stage_names(stages: int) -> tuple[str, ...]:
    return "conv1.weight", *(f"layer{number}.0.conv1.weight" for number in range(2, stages + 1))


def _wide_resnet(depth: int, block: type[BasicBlock | Bottleneck], blocks: tuple[int, ...], pool: bool) -> Architecture:
    name, pooled = f"resnet{depth}", f"resnet{depth}-maxpool"
    last = "conv2" if block is BasicBlock else "conv3"
    return Architecture(
        pooled if pool else name,
        f"ResNet-{depth} with a 3x3 convolution and {'a' if pool else 'no'} max-pool at the start",
        (f"layer4.{blocks[-1] - 1}.{last}.weight", "layer4.0.downsample.1.weight"),
        partial(ResNet, blocks, block=block, widths=FOUR_STAGES, pool=pool),
        _stage_names(4),
        name if pool else pooled,
    )


def _vgg(name: str, norm: bool, hidden: tuple[int, ...]) -> Architecture:
    return Architecture(
        name + ("_bn" if norm else "") + ("" if hidden else "-linear"),
        f"{name[:3].upper()}-{name[3:]} {'with' if norm else 'without'} batch norm, linear layers: {len(hidden) + 1}",
        (_convolutions(vgg.PLANS[name], norm)[-1],),
        partial(vgg.VGG, vgg.PLANS[name], hidden, bias=True, norm=norm),
        (*_convolutions(vgg.PLANS[name], norm), *(f"classifier.{3 * number}.weight" for number in range(len(hidden)))),
    )


def _convolutions(plan: vgg.Plan, norm: bool = True) -> tuple[str, ...]:
    """Returns the names of the weights of the convolutions of a VGG."""
    places = accumulate((1 if layer == vgg.POOL else 2 + norm for layer in plan), initial=0)
    return tuple(f"features.{place}.weight" for layer, place in zip(plan, places, strict=False) if layer != vgg.POOL)


def _mobilenetv2(factor: float) -> Architecture:
    name = f"mobilenetv2_x{factor}".replace(".", "_")
    make = partial(mobilenetv2.MobileNetV2, mobilenetv2.ROWS, 0, 0, widths=mobilenetv2.scaled_widths(factor))
    return Architecture(
        name,
        f"MobileNetV2 of {factor} times the width",
        ("features.18.0.weight",),
        make,
        _row_names(mobilenetv2.ROWS) if factor == 1 else (),
    )


def _row_names(rows: tuple[mobilenetv2.Row, ...]) -> tuple[str, ...]:
    """Returns the names of the weights that have the channels of the stem, of each row and of the last convolution."""
    *starts, end = accumulate((row.repeats for row in rows), initial=1)
    blocks = (
        f"features.{start}.conv.{2 if row.expansion > 1 else 1}.weight" for start, row in zip(starts, rows, strict=True)
    )
    return "features.0.0.weight", *blocks, f"features.{end}.0.weight"


_TABLE = (
    Architecture(
        "cnn3",
        "three convolutions and two linear layers",
        ("conv3.weight",),
        CNN3,
        ("conv1.weight", "conv2.weight", "conv3.weight", "fc1.weight"),
    ),
    Architecture(
        "lenet5",
        "LeNet-5 for colour images, with ReLU and max-pools, as in PyTorch's tutorial",
        ("conv2.weight", "fc3.weight"),
        LeNet,
        ("conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight"),
    ),
    Architecture(
        "mobilenetv2",
        "our small MobileNetV2",
        ("features.12.0.weight",),
        partial(mobilenetv2.MobileNetV2, mobilenetv2.SMALL, stem=16, last=512),
        _row_names(mobilenetv2.SMALL),
    ),
    Architecture(
        "simple_cnn",
        "two convolutions and two linear layers",
        ("fc2.weight",),
        SimpleCNN,
        ("conv1.weight", "conv2.weight", "fc1.weight"),
    ),
    Architecture(
        "vgg",
        "our small VGG with batch norm",
        ("features.28.weight",),
        partial(vgg.VGG, vgg.SMALL),
        _convolutions(vgg.SMALL),
    ),
    Architecture(
        "vgg9-lab",
        "VGG of the laboratories of MIT 6.5940: eight convolutions with batch norm and one linear layer",
        ("features.24.weight",),
        partial(vgg.VGG, vgg.LAB),
        _convolutions(vgg.LAB),
    ),
    *(_resnet(blocks, option) for blocks in (18, 9, 7, 5, 3, 2, 1) for option in ("B", "A")),
    *(
        _wide_resnet(depth, block, blocks, pool)
        for depth, block, blocks in (
            (50, Bottleneck, (3, 4, 6, 3)),
            (34, BasicBlock, (3, 4, 6, 3)),
            (18, BasicBlock, (2, 2, 2, 2)),
        )
        for pool in (False, True)
    ),
    Architecture(
        "preact_resnet18",
        "ResNet-18 with batch norm and ReLU before each convolution",
        ("layer4.1.conv2.weight",),
        partial(PreActResNet, 2),
        _stage_names(4),
    ),
    *(_vgg(name, norm, hidden) for name in vgg.PLANS for norm in (True, False) for hidden in ((512, 512), ())),
    Architecture("mobilenet", "MobileNet with strides for small images", ("layers.12.conv2.weight",), MobileNet),
    Architecture(
        "mobilenetv2_relu",
        "MobileNetV2 with ReLU, and convolutions in shortcuts",
        ("layers.16.conv3.weight",),
        ReluMobileNetV2,
    ),
    *(_mobilenetv2(factor) for factor in (0.5, 0.75, 1.0, 1.4)),
    *(
        Architecture(
            f"shufflenetv2_{size}",
            f"ShuffleNetV2 {size.replace('_', '.')}",
            ("conv5.0.weight",),
            partial(shufflenetv2.ShuffleNetV2, widths),
        )
        for size, widths in shufflenetv2.WIDTHS.items()
    ),
    *(
        Architecture(
            f"repvgg_{size}",
            f"RepVGG-{size.upper()} with the branches it is trained with",
            ("stage4.0.rbr_dense.conv.weight",),
            partial(repvgg.RepVGG, widths=widths),
            tuple(f"stage{number}.0.rbr_dense.conv.weight" for number in range(1, 5)) if size == "a0" else (),
        )
        for size, widths in repvgg.WIDTHS.items()
    ),
)

ARCHITECTURES = {architecture.name: architecture for architecture in _TABLE}


@lru_cache(maxsize=64)
def find_architecture(name: str) -> Architecture:
    """Returns an architecture of the table, or one with other widths, such as “resnet20:8,16,32”.

    Raises ValueError if there is none of this name, or if its widths are wrong.
    """
    base, colon, widths = name.partition(":")
    if base not in ARCHITECTURES:
        raise ValueError(f"there is no architecture {base!r}. Supported architectures: {', '.join(ARCHITECTURES)}")
    if not colon:
        return ARCHITECTURES[base]
    numbers = [int(width) if width.isdecimal() and len(width) < 9 else 0 for width in widths.split(",")]
    return ARCHITECTURES[base].resize(tuple(numbers))
