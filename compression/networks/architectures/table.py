"""The table of all architectures that weights can be loaded into, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from compression.networks.architectures import mobilenetv2, repvgg, shufflenetv2, vgg
from compression.networks.architectures.plain import CNN3, SimpleCNN
from compression.networks.architectures.resnet import ResNet


@dataclass(frozen=True)
class Architecture:
    """An architecture: its `name` in file headers and commands, a `description`, and `make`, which builds it untrained.

    `landmarks` are names of tensors. Weights that lack one of them belong to another architecture.
    """

    name: str
    description: str
    landmarks: tuple[str, ...]
    make: Callable[[], nn.Module]


def _resnet(blocks: int, option: str) -> Architecture:
    name = f"resnet{6 * blocks + 2}"
    kind = {"A": "without parameters (option A)", "B": "of 1x1 convolutions (option B)"}[option]
    return Architecture(
        name if option == "B" else f"{name}-a",
        f"ResNet-{6 * blocks + 2} with shortcuts {kind}",
        (f"layer3.{blocks - 1}.conv2.weight", *(["layer2.0.downsample.0.weight"] if option == "B" else [])),
        partial(ResNet, blocks, option),
    )


def _vgg(name: str, norm: bool, hidden: tuple[int, ...]) -> Architecture:
    plan = vgg.PLANS[name]
    last = sum(1 if layer == vgg.POOL else 2 + norm for layer in plan[:-1]) - 2 - norm
    return Architecture(
        name + ("_bn" if norm else "") + ("" if hidden else "-linear"),
        f"{name[:3].upper()}-{name[3:]} {'with' if norm else 'without'} batch norm, linear layers: {len(hidden) + 1}",
        (f"features.{last}.weight",),
        partial(vgg.VGG, plan, hidden, bias=True, norm=norm),
    )


def _mobilenetv2(width: float) -> Architecture:
    name = f"mobilenetv2_x{width}".replace(".", "_")
    return Architecture(
        name,
        f"MobileNetV2 of {width} times the width",
        ("features.18.0.weight",),
        partial(mobilenetv2.with_width, width),
    )


_TABLE = (
    Architecture("cnn3", "three convolutions and two linear layers", ("conv3.weight",), CNN3),
    Architecture(
        "mobilenetv2",
        "our small MobileNetV2",
        ("features.12.0.weight",),
        partial(mobilenetv2.MobileNetV2, mobilenetv2.SMALL, stem=16, last=512),
    ),
    Architecture("simple_cnn", "two convolutions and two linear layers", ("fc2.weight",), SimpleCNN),
    Architecture("vgg", "our small VGG with batch norm", ("features.28.weight",), partial(vgg.VGG, vgg.SMALL)),
    *(_resnet(blocks, option) for blocks in (18, 9, 7, 5, 3, 2, 1) for option in ("B", "A")),
    *(_vgg(name, norm, hidden) for name in vgg.PLANS for norm in (True, False) for hidden in ((512, 512), ())),
    *(_mobilenetv2(width) for width in (0.5, 0.75, 1.0, 1.4)),
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
            partial(repvgg.RepVGG, widths),
        )
        for size, widths in repvgg.WIDTHS.items()
    ),
)

ARCHITECTURES = {architecture.name: architecture for architecture in _TABLE}
