"""The same weights in many boxes: each is read to the same tensors, or refused with the sentence that mends it."""

import io
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.ao.quantization import fuse_modules_qat, get_default_qat_qconfig, prepare_qat
from torch.nn.utils import parametrizations, parametrize, prune, weight_norm

from compression.errors import CheckpointError
from compression.networks.checkpoints.boxes import MAX_DEPTH, MAX_OTHERS, find_boxes
from compression.networks.checkpoints.reading import read_checkpoint
from compression.networks.checkpoints.recognition import Recognition, other_entries, recognise_checkpoint
from tests.support.networks import Tensors, network, save, tensors

ARCH = "resnet8"

WEIGHTS = tensors(ARCH)

OTHER = {key: value + 1 if value.is_floating_point() else value for key, value in WEIGHTS.items()}


def prefixed(prefix: str, weights: Tensors = WEIGHTS) -> Tensors:
    return {f"{prefix}{key}": value for key, value in weights.items()}


def trained() -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the states of an optimizer and of its schedule, whose milestones are a Counter."""
    module = network(ARCH).requires_grad_(True)
    optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)
    module(torch.ones(1, 3, 32, 32)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    return optimizer.state_dict(), {key: value for key, value in schedule.state_dict().items() if key != "_get_lr"}


def whole_training() -> bytes:
    optimizer, schedule = trained()
    assert isinstance(schedule["milestones"], Counter)
    about = {
        "best_acc": np.float64(93.1),
        "device": torch.device("cuda", 0),
        "dtype": torch.float16,
        "epoch": np.int64(9),
    }
    return save({"net": WEIGHTS, "optimizer": optimizer, "scheduler": schedule, **about})


def parametrized() -> bytes:
    module = network(ARCH)
    parametrize.register_parametrization(module.layer1[0].conv1, "weight", nn.Identity())
    parametrize.register_parametrization(module.fc, "weight", nn.Identity())
    return save(module.state_dict())


def normalized(module: nn.Module) -> bytes:
    """The state of `module` with weight norms of both kinds that torch has, along several dimensions."""
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        weight_norm(module.conv1)
    parametrizations.weight_norm(module.layer1[0].conv1)
    parametrizations.weight_norm(module.layer1[0].conv2, dim=1)
    parametrizations.weight_norm(module.fc, dim=None)
    return save(module.state_dict())


def masked() -> bytes:
    module = network(ARCH)
    prune.identity(module.conv1, "weight")
    return save({"model": module.state_dict()})


def prepared() -> bytes:
    """A network with the observers of torch.ao.quantization, whose ranges are infinite before the first image."""
    observer = {
        "min_val": torch.tensor(torch.inf),
        "max_val": torch.tensor(-torch.inf),
        "eps": torch.tensor(1e-7),
    }
    state = dict(WEIGHTS)
    for key in ("conv1", "layer1.0.conv2", "fc"):
        for part in ("weight_fake_quant", "activation_post_process", "weight_fake_quant.activation_post_process"):
            state |= {f"{key}.{part}.{name}": value for name, value in observer.items()}
        state[f"{key}.weight_fake_quant.fake_quant_enabled"] = torch.tensor([1], dtype=torch.uint8)
    return save(state)


def fused_for_training() -> bytes:
    """A network with batch norms inside its convolutions, as torch.ao.nn.intrinsic.qat stores them, and observers."""
    moves = {"bn1.": "conv1.bn.", "bn2.": "conv2.bn.", "downsample.1.": "downsample.0.bn."}
    state = {"quant.activation_post_process.scale": torch.ones(1)}
    for key, value in WEIGHTS.items():
        move = next((old for old in moves if f".{old}" in f".{key}"), "")
        state[key.replace(move, moves[move]) if move else key] = value
    return save(state)


NORMALIZE = {"mean": torch.zeros(1, 3, 1, 1), "std": torch.ones(1, 3, 1, 1)}

METRICS = {"train_acc.total": torch.tensor(3), "val_loss.mean_value": torch.tensor(0.5)}

READ: dict[str, Callable[[], bytes]] = {
    "bare": lambda: save(WEIGHTS),
    "safetensors": lambda: safetensors.torch.save(WEIGHTS),
    **{
        name: lambda name=name: save({name: WEIGHTS, "epoch": 3})
        for name in ("state_dict", "model_state", "weights", "network", "ema", "state_dict_ema", "net_g", "my model")
    },
    "two boxes": lambda: save({"checkpoint": {"model": WEIGHTS}}),
    "a model and its average": lambda: save({"model_ema": OTHER, "model": WEIGHTS, "epoch": 3}),
    "an average that is wrapped": lambda: save({"ema": {"module": WEIGHTS, "decay": 0.9, "updates": 3}}),
    "a training script's state": whole_training,
    "a loss with weights": lambda: save({"criterion": {"weight": torch.ones(10)}, "net": WEIGHTS}),
    "DataParallel": lambda: save(prefixed("module.")),
    "ema.": lambda: save(prefixed("ema.")),
    "ema_model.": lambda: save(prefixed("ema_model.module.")),
    "resnet.": lambda: save(prefixed("resnet.")),
    "a network and its average": lambda: save(prefixed("ema_model.", OTHER) | prefixed("model.")),
    "a student and its teacher": lambda: save(prefixed("teacher.", OTHER) | prefixed("student.")),
    "Lightning": lambda: save(
        {
            "state_dict": prefixed("model.") | {"criterion.weight": torch.ones(10)} | METRICS,
            "hyper_parameters": OrderedDict(lr=0.1),
            "callbacks": {},
        }
    ),
    "strays": lambda: save(WEIGHTS | {"criterion.weight": torch.ones(10)} | METRICS),
    "a Normalize inside": lambda: save(WEIGHTS | {f"normalize.{key}": value for key, value in NORMALIZE.items()}),
    "after a Normalize": lambda: save(prefixed("1.") | {f"0.{key}": value for key, value in NORMALIZE.items()}),
    "a Normalize inside a wrapper": lambda: save(prefixed("module.") | prefixed("module.", NORMALIZE)),
    "parametrizations": parametrized,
    "a mask of ones": masked,
    "observers": prepared,
    "fused for training": fused_for_training,
}


def recognised(content: bytes, entry: str | None = None, arch: str | None = None) -> Recognition:
    return recognise_checkpoint(read_checkpoint(content, "net.pth", entry=entry), arch)


def same(actual: Tensors, expected: Tensors) -> bool:
    return all(torch.equal(actual[key], value) for key, value in expected.items() if "num_batches" not in key)


@pytest.mark.parametrize("box", READ)
def test_weights_in_every_box_are_read_to_the_same_tensors(box: str) -> None:
    recognition = recognised(READ[box]())
    assert recognition.architecture.name == ARCH
    assert same(dict(recognition.module.state_dict()), WEIGHTS)


def test_weight_norms_are_multiplied_out() -> None:
    module = network(ARCH)
    recognition = recognised(normalized(module))
    for name in ("conv1", "layer1.0.conv1", "layer1.0.conv2", "fc"):
        weight = module.get_submodule(name).weight
        torch.testing.assert_close(recognition.module.get_submodule(name).weight, weight.detach())
    assert "4 weight norms multiplied out" in recognition.description


@pytest.mark.parametrize("lengths", [torch.ones(3), torch.ones(2, 2), torch.ones(10, 64), torch.ones(2, 1, 1)])
def test_two_tensors_that_are_no_weight_norm_are_left_alone(lengths: torch.Tensor) -> None:
    state = {key: value for key, value in WEIGHTS.items() if key != "fc.weight"}
    with pytest.raises(CheckpointError):
        recognised(save(state | {"fc.weight_g": lengths, "fc.weight_v": WEIGHTS["fc.weight"]}))


def torch_script() -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(network(ARCH), torch.ones(1, 3, 32, 32)), file)
    return file.getvalue()


def codes() -> Tensors:
    """Integers in place of weights, as after multiplying them by a scale and rounding them."""
    return {key: (100 * value).round() if value.dim() > 1 else value for key, value in WEIGHTS.items()}


def strange() -> Tensors:
    return {f"a{number}.{key.rpartition('.')[2]}": value for number, (key, value) in enumerate(WEIGHTS.items())}


def sparse() -> Tensors:
    return WEIGHTS | {"conv1.weight": WEIGHTS["conv1.weight"].to_sparse()}


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "the network itself": (
        lambda: save(network(ARCH)),
        r"Save it again with torch\.save\(model\.state_dict\(\), path\)",
    ),
    "TorchScript": (torch_script, r"is a TorchScript file, .* load it with torch\.jit\.load"),
    "a list": (lambda: save([*WEIGHTS.values()]), "holds a list, not a dictionary of weights by name"),
    "no weights": (
        lambda: save({"epoch": 3, "best_acc": 90.0, "arch": "resnet8"}),
        "holds no weights; its entries are epoch, best_acc, arch$",
    ),
    "sparse tensors": (lambda: save(sparse()), r"holds sparse tensors, .* value\.to_dense\(\)"),
    "float8": (
        lambda: save({key: value.to(torch.float8_e4m3fn) for key, value in WEIGHTS.items()}),
        r"such as float8, .* value\.float\(\)",
    ),
    "int8": (
        lambda: save(WEIGHTS | {"conv1.weight": codes()["conv1.weight"].to(torch.int8)}),
        r"tensor conv1\.weight holds integers \(int8\): they are codes",
    ),
    "codes": (lambda: save(codes()), r"tensor conv1\.weight holds whole numbers only, .* they are codes"),
    "a negative variance": (
        lambda: save(WEIGHTS | {"bn1.running_var": torch.full((16,), -1.0)}),
        r"tensor bn1\.running_var has negative values, down to -1,",
    ),
    "strange names": (lambda: save(strange()), "shapes are those of resnet8; --arch resnet8 reads them so"),
    "an average of another network": (
        lambda: save({"model": {"encoder.weight": torch.ones(3, 3)}, "model_ema": WEIGHTS}),
        "Read were the weights of “model”, not of “model_ema”",
    ),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit
@pytest.mark.parametrize("box", REFUSED)
def test_weights_in_other_boxes_are_refused_with_the_sentence_that_mends_it(box: str) -> None:
    make, words = REFUSED[box]
    with pytest.raises(CheckpointError, match=words):
        recognised(make())


def test_strange_names_are_read_in_order_when_the_architecture_is_named() -> None:
    recognition = recognised(save(strange()), arch=ARCH)
    assert same(dict(recognition.module.state_dict()), WEIGHTS)
    assert recognition.name_changes == ("names unknown, so taken in the order of the file",)
    with pytest.raises(CheckpointError, match="is not a resnet14"):
        recognised(save(strange()), arch="resnet14")


# ---- which weights were taken, and how to take others


@pytest.mark.parametrize(
    ("content", "others", "words"),
    [
        ({"model_ema": OTHER, "model": WEIGHTS}, ("model_ema",), "weights of “model”, not of “model_ema”"),
        (
            {"ema": {"module": OTHER}, "state_dict": WEIGHTS},
            ("ema.module",),
            "weights of “state_dict”, not of “ema.mod",
        ),
        (
            prefixed("teacher.", OTHER) | prefixed("student."),
            ("teacher",),
            "“student.” taken, not “teacher.”; “student.” removed from names; ignored: teacher.conv1.weight, ",
        ),
        (
            {"state_dict": prefixed("ema_model.", OTHER) | prefixed("model.")},
            ("state_dict.ema_model",),
            "“model.” taken, not “ema_model.”",
        ),
        ({"state_dict": WEIGHTS, "optimizer": {"a": torch.ones(2, 2)}}, (), "78,042 parameters"),
        ({"state_dict": WEIGHTS, "criterion": {"weight": torch.ones(10)}}, (), "78,042 parameters"),
    ],
)
def test_the_description_says_which_weights_were_taken_and_each_of_the_others_can_be(
    content: dict[str, Any], others: tuple[str, ...], words: str
) -> None:
    file = save(content)
    checkpoint = read_checkpoint(file, "net")
    recognition = recognise_checkpoint(checkpoint)
    assert other_entries(checkpoint, recognition) == others
    assert words in recognition.description
    for entry in others:
        assert same(dict(recognised(file, entry).module.state_dict()), OTHER)


def test_an_entry_that_is_not_there_is_refused_and_those_that_are_there_named() -> None:
    with pytest.raises(CheckpointError, match=r"has no weights under 'teacher'; .* are: model, model_ema"):
        read_checkpoint(save({"model": WEIGHTS, "model_ema": OTHER}), "net", entry="teacher")


def test_an_accuracy_beside_the_weights_is_read_from_a_number_of_numpy() -> None:
    assert read_checkpoint(whole_training(), "net").accuracies == {"best_acc": pytest.approx(0.931)}


def test_only_the_dictionaries_near_the_top_are_searched() -> None:
    deep: dict[str, Any] = {"w": torch.ones(2, 2)}
    for _ in range(MAX_DEPTH):
        deep = {"a": deep}
    assert list(find_boxes(deep)) == [".".join("a" * MAX_DEPTH)]
    assert not find_boxes({"a": deep})


def test_a_prefix_holds_the_counters_of_its_network_only() -> None:
    """An averaged network counts its averages beside its module."""
    assert recognised(save(prefixed("module.") | {"n_averaged": torch.tensor(3)})).architecture.name == ARCH


def test_a_name_that_is_no_stray_is_never_ignored() -> None:
    more: dict[str, Tensor] = {"head.weight": torch.ones(10, 10)}
    with pytest.raises(CheckpointError, match=r"it has unknown head\.weight$"):
        recognised(save(WEIGHTS | more))


def test_a_file_with_many_networks_names_a_few_of_them() -> None:
    checkpoint = read_checkpoint(save({f"box{number}": {"a.weight": torch.ones(2, 2)} for number in range(50)}), "net")
    assert len(checkpoint.others) == MAX_OTHERS


def test_names_that_are_endless_are_refused_in_a_moment() -> None:
    with pytest.raises(CheckpointError, match="no supported architecture has tensors with these names"):
        recognised(save({f"{'a.' * 100_000}{number}": torch.ones(2, 2) for number in range(40)}))


# ---- quantization-aware training by torch itself


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("fused", [False, True])
def test_a_network_that_torch_prepared_for_quantization_is_read_without_its_observers(fused: bool) -> None:
    module = network(ARCH).train()
    if fused:
        norms = [name for name, _ in module.named_modules() if name.endswith(("bn1", "bn2"))]
        shortcuts = [[f"{layer}.0.downsample.{part}" for part in (0, 1)] for layer in ("layer2", "layer3")]
        module = fuse_modules_qat(module, [*([name.replace("bn", "conv"), name] for name in norms), *shortcuts])
    module.qconfig = get_default_qat_qconfig("x86")
    recognition = recognised(save(prepare_qat(module).state_dict()))
    assert same(dict(recognition.module.state_dict()), WEIGHTS)
    assert "tensors of observers and fake quantizers ignored" in recognition.description
