"""Recognition of checkpoints by their tensors, whichever convention names them, and the errors if it fails."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.optim.swa_utils import AveragedModel

from compression.errors import CheckpointError
from compression.networks.architectures.table import ARCHITECTURES
from compression.networks.architectures.vgg import PLANS, VGG
from compression.networks.checkpoints.names import translate_names
from compression.networks.checkpoints.recognition import recognise
from compression.networks.folding import fold_batch_norm
from tests.support.networks import Tensors, images, network, tensors


def fresh(arch: str) -> nn.Module:
    """Returns a new network that a test may change."""
    module = ARCHITECTURES[arch].make()
    module.load_state_dict(tensors(arch))
    return module.eval()


def assert_same(actual: nn.Module, expected: nn.Module) -> None:
    """Checks that outputs are equal except for rounding, because the memory layout of weights differs."""
    with torch.inference_mode():
        torch.testing.assert_close(actual(images(1)), expected(images(1)))


def without_counters(state: Mapping[str, Tensor]) -> Tensors:
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


# ---- architectures


def numbered_tensors(arch: str) -> Tensors:
    """Returns tensors of halves, no two of which have the same ones. That takes less time than random weights."""
    with torch.device("meta"):
        state = ARCHITECTURES[arch].make().state_dict()
    return {
        key: torch.arange(value.numel(), dtype=torch.float32).add_(place + 0.5).view(value.shape).to(value.dtype)
        for place, (key, value) in enumerate(state.items())
    }


@pytest.fixture
def uninitialised(monkeypatch: pytest.MonkeyPatch) -> None:
    """New networks have any weights at all, because random ones take most of the time of a test that fills all in."""
    for name in ("kaiming_uniform_", "kaiming_normal_", "normal_", "uniform_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_architecture_is_recognised_from_its_tensors(arch: str, uninitialised: None) -> None:
    """Its tensors include its landmarks, and no other architecture but its twin has the same tensors."""
    expected = numbered_tensors(arch)
    network = recognise(expected)
    assert network.architecture.name == arch.removesuffix("-maxpool")
    assert network.name_changes == ()
    state = network.module.state_dict()
    assert all(torch.equal(state[key], value) for key, value in without_counters(expected).items())


@pytest.mark.parametrize("arch", ["resnet8", "resnet8-a", "vgg11", "mobilenetv2", "shufflenetv2_x0_5", "cnn3"])
def test_a_recognised_network_is_frozen_and_the_tensors_do_not_change(arch: str) -> None:
    state = {key: value.clone() for key, value in tensors(arch).items()}
    module = recognise(state).module
    assert not any(part.training for part in module.modules())
    assert not any(parameter.requires_grad for parameter in module.parameters())
    for parameter in module.parameters():
        parameter.zero_()
    assert all(torch.equal(state[key], value) for key, value in tensors(arch).items())


@pytest.mark.parametrize(
    ("family", "arch"),
    [("resnet8", "resnet8"), ("resnet8", "resnet8-a"), ("resnet8-a", "resnet8-a"), ("vgg11", "vgg11-linear")],
)
def test_asking_for_an_architecture_allows_its_variants(family: str, arch: str) -> None:
    assert recognise(tensors(arch), family).architecture.name == arch


# ---- dialects


def add_prefix(prefix: str) -> Callable[[Tensors], Tensors]:
    return lambda found: {f"{prefix}{key}": value for key, value in found.items()}


def rename_in(old: str, new: str) -> Callable[[Tensors], Tensors]:
    return lambda found: {key.replace(old, new): value for key, value in found.items()}


DIALECTS: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "our own": (lambda found: found, ""),
    "no counters": (without_counters, ""),
    "DataParallel": (add_prefix("module."), "“module.” removed from every name"),
    "torch.compile": (add_prefix("_orig_mod."), "“_orig_mod.” removed from every name"),
    "both": (add_prefix("module._orig_mod."), "“module._orig_mod.” removed from every name"),
    "a trainer's own class": (add_prefix("model."), "“model.” removed from every name"),
    "two wrappers": (add_prefix("model.module."), "“model.module.” removed from every name"),
    "three wrappers": (add_prefix("net.backbone.network."), "“net.backbone.network.” removed from every name"),
    "a part compiled": (rename_in("layer2.", "layer2._orig_mod."), "“_orig_mod.” removed from names"),
    "linear": (rename_in("fc.", "linear."), "“linear” read as “fc”"),
    "shortcut": (rename_in(".downsample.", ".shortcut."), "“shortcut” read as “downsample”"),
    "akamaster": (
        lambda found: add_prefix("module.")(rename_in("fc.", "linear.")(rename_in("downsample", "shortcut")(found))),
        "“module.” removed from every name; “linear” read as “fc”, “shortcut” read as “downsample”",
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_is_the_same_network_and_the_sentence_says_what_was_renamed(dialect: str) -> None:
    rename, words = DIALECTS[dialect]
    state = rename(tensors("resnet8"))
    assert (state.keys() == tensors("resnet8").keys()) == (dialect == "our own")
    recognition = recognise(state)
    start = "ResNet-8 with shortcuts of 1x1 convolutions (option B), 78,042 parameters"
    assert recognition.description == "; ".join([start, *([words] if words else [])])
    assert_same(recognition.module, network("resnet8"))


@pytest.mark.parametrize("arch", ["mobilenetv2", "shufflenetv2_x0_5", "vgg11_bn", "repvgg_a0", "simple_cnn"])
def test_wrappers_are_removed_from_every_architecture(arch: str) -> None:
    network = recognise(add_prefix("module.model.")(tensors(arch)))
    assert network.architecture.name == arch
    assert network.name_changes == ("“module.model.” removed from every name",)


def test_torchs_own_data_parallel_is_understood() -> None:
    network = recognise(nn.DataParallel(fresh("resnet8")).state_dict())
    assert network.architecture.name == "resnet8"


def test_the_linear_layer_of_a_repvgg_keeps_its_name() -> None:
    state, words = translate_names(tensors("repvgg_a0"))
    assert {"linear.weight", "linear.bias"} <= state.keys()
    assert words == ()


def test_averaged_weights_are_understood() -> None:
    average = AveragedModel(fresh("resnet8"))
    average.update_parameters(average.module)
    state = average.state_dict()
    assert "n_averaged" in state
    recognition = recognise(state)
    assert_same(recognition.module, network("resnet8"))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_other_precisions_become_float32(kind: torch.dtype) -> None:
    module = recognise({key: value.to(kind) for key, value in tensors("resnet8").items()}).module
    for key, value in without_counters(module.state_dict()).items():
        assert value.dtype == torch.float32
        assert torch.equal(value, tensors("resnet8")[key].to(kind).float())


# ---- pruned by torch


def prune_by_torch(arch: str) -> nn.Module:
    """Returns a network with half of each layer pruned by torch.nn.utils.prune, which keeps masks beside weights."""
    module = fresh(arch)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            prune.l1_unstructured(layer, "weight", 0.5)
    return module.eval()


@pytest.mark.parametrize(("arch", "layers"), [("resnet8", 7 + 2 + 1), ("cnn3", 5), ("vgg11-linear", 9)])
def test_a_network_pruned_by_torch_is_the_pruned_network(arch: str, layers: int) -> None:
    module = prune_by_torch(arch)
    network = recognise(add_prefix("module.")(dict(module.state_dict())))
    assert network.name_changes == (
        "“module.” removed from every name",
        f"{layers} masks of torch.nn.utils.prune applied",
    )
    weights = [p for p in network.module.parameters() if p.dim() > 1]
    assert sum(int((w == 0).sum()) for w in weights) == pytest.approx(sum(w.numel() for w in weights) / 2, abs=layers)
    assert_same(network.module, module)


def test_half_precision_masks_are_applied() -> None:
    module = prune_by_torch("resnet8").half()
    state = recognise(module.state_dict()).module.state_dict()
    assert torch.equal(state["conv1.weight"], (module.conv1.weight_orig * module.conv1.weight_mask).float())


def test_a_mask_of_other_numbers_than_zeros_and_ones_is_not_applied() -> None:
    state = prune_by_torch("resnet8").state_dict()
    state["conv1.weight_mask"] *= 1e38
    with pytest.raises(CheckpointError, match=r"it has unknown conv1\.weight_mask, conv1\.weight_orig"):
        recognise(state)


@pytest.mark.parametrize("name", ["conv1.weight_mask", "conv1.weight_orig"])
def test_a_mask_without_its_weight_or_a_weight_without_its_mask_is_refused(name: str) -> None:
    state = prune_by_torch("resnet8").state_dict()
    del state[name]
    (left,) = {"conv1.weight_mask", "conv1.weight_orig"} - {name}
    with pytest.raises(CheckpointError, match=rf"it lacks conv1\.weight; it has unknown {left}"):
        recognise(state)


# ---- batch norm folded

FOLDING = [
    *("resnet8", "resnet8-a", "vgg11_bn", "mobilenetv2", "shufflenetv2_x0_5", "repvgg_a0", "vgg"),
    *("preact_resnet18", "mobilenet", "mobilenetv2_relu", "vgg9-lab"),
]


@pytest.mark.parametrize("arch", FOLDING)
def test_a_network_with_batch_norm_folded_is_recognised(arch: str) -> None:
    folded = fold_batch_norm(network(arch))
    recognition = recognise(dict(folded.state_dict()))
    assert (recognition.architecture.name, recognition.folded) == (arch, True)
    assert recognition.description.endswith("parameters; batch norm is folded")
    assert_same(recognition.module, folded)
    assert not recognise(tensors(arch)).folded


def test_batch_norm_that_torch_fuses_gives_the_same_tensors() -> None:
    """A network that anybody fused, with one convolution after another."""
    module = fresh("resnet8")
    for parent in [module, *(block for layer in (module.layer1, module.layer2, module.layer3) for block in layer)]:
        for number in (1, 2) if hasattr(parent, "conv2") else (1,):
            norm = getattr(parent, f"bn{number}")
            setattr(parent, f"conv{number}", fuse_conv_bn_eval(getattr(parent, f"conv{number}"), norm))
            setattr(parent, f"bn{number}", nn.Identity())
        if isinstance(getattr(parent, "downsample", None), nn.Sequential):
            parent.downsample = nn.Sequential(fuse_conv_bn_eval(*parent.downsample))
    recognition = recognise(add_prefix("module.")(dict(module.state_dict())))
    assert recognition.folded
    assert_same(recognition.module, module)


def test_a_folded_network_that_lacks_a_bias_is_refused_with_its_name() -> None:
    state = dict(fold_batch_norm(network("resnet8")).state_dict())
    del state["layer1.0.conv2.bias"]
    with pytest.raises(CheckpointError, match=r"is not a resnet8: it lacks layer1\.0\.conv2\.bias$"):
        recognise(state)


# ---- heads of other people's VGGs


def kuangliu() -> Tensors:
    """Returns tensors as in github.com/kuangliu/pytorch-cifar: the head is one linear layer and no sequence."""
    return rename_in("classifier.0.", "classifier.")(tensors("vgg11_bn-linear"))


def chengyangfu(arch: str = "vgg11") -> Tensors:
    """Returns tensors as in github.com/chengyangfu/pytorch-vgg-cifar10: dropout before linear layers, DataParallel."""
    state = rename_in("features.", "features.module.")(tensors(arch))
    for layer, theirs in (("3", "4"), ("0", "1")):
        state = rename_in(f"classifier.{layer}.", f"classifier.{theirs}.")(state)
    return state


@pytest.mark.parametrize(
    ("arch", "state", "words"),
    [
        ("vgg11_bn-linear", kuangliu, ("the layers of the head renumbered",)),
        ("vgg11", chengyangfu, ("“module.” removed from names", "the layers of the head renumbered")),
    ],
    ids=["kuangliu", "chengyangfu"],
)
def test_heads_of_public_vggs_are_understood(arch: str, state: Callable[[], Tensors], words: tuple[str, ...]) -> None:
    recognition = recognise(state())
    assert (recognition.architecture.name, recognition.name_changes) == (arch, words)
    assert_same(recognition.module, network(arch))


def test_the_heads_of_these_tests_are_those_of_public_vggs() -> None:
    """The published modules have these names of tensors."""
    with torch.device("meta"):
        features = VGG(PLANS["vgg11"], bias=True, norm=False).features
        head = [nn.Dropout(), nn.Linear(512, 512), nn.ReLU(), nn.Dropout(), nn.Linear(512, 512), nn.ReLU()]
        theirs = nn.ModuleDict({"classifier": nn.Sequential(*head, nn.Linear(512, 10))})
        theirs.features = nn.DataParallel(features)
    assert theirs.state_dict().keys() == chengyangfu().keys()


# ---- nothing is lost


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"linear.weight": torch.zeros(10, 64)}, r"it has unknown linear\.weight$"),
        ({"layer2.0.shortcut.1.bias": torch.zeros(32)}, r"it has unknown layer2\.0\.shortcut\.1\.bias$"),
        (
            {"conv1.weight_orig": torch.zeros(16, 3, 3, 3), "conv1.weight_mask": torch.zeros(16, 3, 3, 3)},
            r"it has unknown conv1\.weight_mask, conv1\.weight_orig$",
        ),
        ({"layer1._orig_mod.0.bn1.bias": torch.zeros(16)}, r"it has unknown layer1\._orig_mod\.0\.bn1\.bias$"),
        ({"module.conv1.weight": torch.zeros(16, 3, 3, 3)}, r"it has unknown module\.conv1\.weight$"),
        ({"": torch.zeros(1)}, r"it has unknown $"),
    ],
    ids=["linear and fc", "shortcut and downsample", "weight and mask", "compiled and not", "twice", "no name"],
)
def test_a_tensor_whose_new_name_is_taken_is_not_lost(more: Tensors, words: str) -> None:
    with pytest.raises(CheckpointError, match=rf"is not a resnet8: {words}"):
        recognise(tensors("resnet8") | more)


def test_a_head_whose_new_number_is_taken_is_not_lost() -> None:
    both = tensors("vgg11_bn-linear") | {"classifier.weight": torch.zeros(10, 512)}
    with pytest.raises(CheckpointError, match=r"is not a vgg11_bn-linear: it has unknown classifier\.weight$"):
        recognise(both)


@pytest.mark.parametrize("arch", ["resnet8", "vgg11_bn", "mobilenetv2", "shufflenetv2_x0_5", "repvgg_a0", "cnn3"])
def test_renaming_keeps_every_tensor(arch: str) -> None:
    state = without_counters(tensors(arch))
    for rename in (*(rename for rename, _ in DIALECTS.values()), rename_in("classifier.0.", "classifier.")):
        new_state, _ = translate_names(rename(state))
        assert len(new_state) == len(state)
        assert {id(value) for value in new_state.values()} == {id(value) for value in state.values()}


# ---- refused


def without(name: str) -> Tensors:
    return {key: value for key, value in tensors("resnet8").items() if key != name}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (tensors("resnet8") | {"bn1.bias": torch.zeros(1)}, r"bn1\.bias should have shape \(16,\) and has \(1,\)$"),
        (tensors("resnet8") | {"bn1.bias": torch.tensor(0.0)}, r"bn1\.bias should have shape \(16,\) and has \(\)$"),
        (
            tensors("resnet8") | {"conv1.weight": torch.zeros(16, 1, 3, 3), "fc.bias": torch.zeros(11)},
            r"conv1\.weight should have shape \(16, 3, 3, 3\) and has \(16, 1, 3, 3\); 1 more do not fit$",
        ),
        (
            tensors("resnet8") | {"fc.weight": torch.zeros(10, 32)},
            r"fc\.weight should have shape \(10, 64\) and has \(10, 32\)$",
        ),
        (
            tensors("resnet8") | {"fc.weight": torch.tensor(0.0), "fc.bias": torch.zeros(100)},
            r"fc\.weight should have shape \(10, 64\) and has \(\); 1 more do not fit$",
        ),
        (without("layer3.0.bn2.weight"), r"is not a resnet8: it lacks layer3\.0\.bn2\.weight$"),
        (tensors("resnet8") | {"head.weight": torch.zeros(1)}, r"is not a resnet8: it has unknown head\.weight$"),
        (
            {key: value for key, value in tensors("resnet8").items() if "bn" not in key},
            r"is not a resnet8: it lacks bn1\.bias, bn1\.running_mean, bn1\.running_var and \d+ more$",
        ),
    ],
    ids=[
        "a vector of one",
        "a number",
        "two wrong",
        "a wide head",
        "half a head",
        "one missing",
        "one unknown",
        "many",
    ],
)
def test_weights_that_do_not_fit_are_refused_with_their_names_and_shapes(state: Tensors, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        recognise(state)


@pytest.mark.parametrize(
    ("arch", "head"),
    [
        ("resnet8", "fc"),
        ("resnet8-a", "fc"),
        ("vgg11_bn", "classifier.6"),
        ("mobilenetv2", "classifier.1"),
        ("shufflenetv2_x0_5", "fc"),
        ("repvgg_a0", "linear"),
        ("simple_cnn", "fc2"),
    ],
)
def test_a_network_for_other_classes_is_refused_with_their_number(arch: str, head: str) -> None:
    inputs = tensors(arch)[f"{head}.weight"].shape[1]
    other = {f"{head}.weight": torch.zeros(100, inputs), f"{head}.bias": torch.zeros(100)}
    words = rf"is a {arch} for 100 classes, and CIFAR-10 has 10 \({head}\.weight\)$"
    with pytest.raises(CheckpointError, match=words):
        recognise(tensors(arch) | other)


@pytest.mark.parametrize(
    "state",
    [
        {"encoder.weight": torch.zeros(3), "encoder.bias": torch.zeros(3)},
        dict(nn.LSTM(3, 4).state_dict()),
        dict(nn.Linear(3, 4).state_dict()),
        {"num_batches_tracked": torch.tensor(3)},
    ],
    ids=["names", "LSTM", "linear", "a counter alone"],
)
def test_unknown_architectures_are_refused_and_the_known_ones_named(state: Tensors) -> None:
    families = "ResNet-8 to -110 .*VGG.*MobileNetV2.*ShuffleNetV2.*RepVGG"
    words = rf"no supported architecture has tensors with these names.* Supported architectures: {families}"
    with pytest.raises(CheckpointError, match=words):
        recognise(state)


def test_an_architecture_that_does_not_exist_is_refused_and_the_others_named() -> None:
    words = r"there is no architecture 'alexnet'\. Supported architectures: .*resnet20.*repvgg_a2"
    with pytest.raises(CheckpointError, match=words):
        recognise(tensors("resnet8"), "alexnet")


@pytest.mark.parametrize("arch", ["simple_cnn", "vgg11", "resnet14"])
def test_weights_of_another_architecture_than_was_asked_for_are_refused(arch: str) -> None:
    with pytest.raises(CheckpointError, match=rf"is not a {arch}: it lacks "):
        recognise(tensors("resnet8"), arch)


def test_deeper_and_shallower_networks_are_refused_with_extra_and_missing_names() -> None:
    with pytest.raises(CheckpointError, match=r"it has unknown layer1\.1\.bn1\.bias, .* and \d+ more$"):
        recognise(tensors("resnet14"), "resnet8")
    with pytest.raises(CheckpointError, match=r"it lacks layer1\.1\.bn1\.bias, .* and \d+ more$"):
        recognise(tensors("resnet8"), "resnet14")
