"""Our own exports are networks to compress again, and files that only look like them are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from compression.core.compress import compress
from compression.core.evidence import Evidence
from compression.deploy.pytorch_files import state_file
from compression.errors import CheckpointError
from compression.evaluation.normalization_trial import load_checkpoint
from compression.files.exported import is_packed, load_exported
from compression.files.packed_file import DIGEST_BYTES, fingerprint, to_bytes
from compression.files.packed_reader import load_compressed
from compression.networks.checkpoints.reading import read_checkpoint, read_metadata
from compression.networks.model import FloatModel, freeze_
from compression.networks.normalization import NORMALIZATIONS
from compression.quantization.activations import InputQuantizer
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from tests.support.networks import images, network
from tests.support.packed import OpenFile, open_file

ARCH = "resnet8"

FOLDED = CompressionSpec(ARCH, PruneSpec(sparsity=0.5), QuantSpec(4), fold_bn=True)


def float_model() -> FloatModel:
    return FloatModel(ARCH, freeze_(network(ARCH)), NORMALIZATIONS["half"], None, {"arch": ARCH})


def packed(spec: CompressionSpec = FOLDED) -> bytes:
    model = float_model()
    return to_bytes(compress(model.module, spec, Evidence()), model)


def logits(module: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return module(images())


@pytest.mark.parametrize("fold_bn", [True, False])
def test_a_packed_file_is_the_network_that_was_packed(fold_bn: bool) -> None:
    spec = CompressionSpec(ARCH, PruneSpec(sparsity=0.5), QuantSpec(4), fold_bn=fold_bn)
    content = packed(spec)
    assert is_packed(read_checkpoint(content).metadata)
    model = load_exported(content, "small.safetensors", "small")
    assert torch.equal(logits(model.module), logits(compress(float_model().module, spec).module))
    assert (model.name, model.normalization.name, model.about["arch"]) == ("small", "half", ARCH)
    assert (model.about["packed"], model.about["folded"]) == (True, fold_bn)
    assert "a packed file, decoded and verified" in model.about["recognised"]
    assert ("batch norm is folded" in model.about["recognised"]) == fold_bn


def test_a_packed_file_can_be_compressed_and_packed_again(tmp_path: Path) -> None:
    """Its batch norm is folded already, which the new file says too."""
    model = load_exported(packed(), "small", "small")
    again = compress(model.module, CompressionSpec("small", weights=QuantSpec(3)))
    (tmp_path / "again.safetensors").write_bytes(to_bytes(again, model))
    assert torch.equal(logits(load_compressed(tmp_path / "again.safetensors").module), logits(again.module))


def test_a_folded_state_file_is_read_and_packed_again(tmp_path: Path) -> None:
    small = compress(float_model().module, FOLDED).module
    (tmp_path / "small.state.safetensors").write_bytes(state_file(small))
    model = load_checkpoint(tmp_path / "small.state.safetensors", NORMALIZATIONS["half"])
    assert model.about["folded"]
    torch.testing.assert_close(logits(model.module), logits(small))
    again = compress(model.module, CompressionSpec("small", weights=QuantSpec(4)))
    (tmp_path / "again.safetensors").write_bytes(to_bytes(again, model))
    assert torch.equal(logits(load_compressed(tmp_path / "again.safetensors").module), logits(again.module))


def test_other_files_are_no_packed_files(tmp_path: Path) -> None:
    for content in (state_file(network(ARCH)), b"", b"text", b"\x05\0\0\0\0\0\0\0{oops"):
        (tmp_path / "file").write_bytes(content)
        assert not is_packed(read_metadata(tmp_path / "file"))
    with pytest.raises(CheckpointError, match="net is not a packed file"):
        load_exported(state_file(network(ARCH)), "net", "net")


# ---- files that somebody wrote with correct checksums


def changed(change: Callable[[OpenFile], object]) -> bytes:
    """Returns a packed file with something changed, and the checksum of that."""
    file = open_file(packed())
    change(file)
    return file.close()


def in_settings(**values: Any) -> Callable[[OpenFile], object]:
    return lambda file: file.about.update(values)


def in_first_entry(place: int, number: int) -> Callable[[OpenFile], object]:
    """Changes a number of the first packed weight; its places are those of the table in docs/files.md."""

    def change(file: OpenFile) -> None:
        file.directory[file.directory.index(1) + 1 + place] = number

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        *((in_first_entry(place, 10**12), "is damaged or is not a packed file") for place in range(13)),
        (in_first_entry(0, 4), "is damaged or is not a packed file"),
        (in_first_entry(1, 9), "is damaged or is not a packed file"),
        (in_first_entry(4, 1 << 20), "is damaged or is not a packed file"),
        (in_settings(tensors=[1, 2]), "is damaged or is not a packed file"),
        (in_settings(arch="alexnet"), "is damaged or is not a packed file"),
        (in_settings(arch="resnet20"), "does not have the tensors of the architecture resnet20"),
        (in_settings(normalization=[]), "is damaged or is not a packed file"),
        (in_settings(inputs={"conv1": [8, 0.1, 3]}), "does not decode to the network that was written"),
        (in_settings(inputs={"nowhere": [8, 0.1, 3]}), "is damaged or is not a packed file"),
        (lambda file: setattr(file, "fingerprint", bytes(16)), "does not decode to the network that was written"),
    ],
)
def test_a_file_that_somebody_changed_is_refused_in_a_moment(change: Callable[[OpenFile], object], words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        load_exported(changed(change), "net", "net")


IMPOSSIBLE = [(8, float("nan"), 3), (8, 0.0, 3), (8, -1.0, 3), (64, 0.1, 3), (8, 0.1, 999), (8, "a", 3)]


@pytest.mark.parametrize("numbers", IMPOSSIBLE)
def test_a_quantizer_that_no_network_can_have_is_refused(numbers: tuple[Any, ...]) -> None:
    """With the fingerprint of a network that has it."""
    module = load_exported(packed(), "net", "net").module
    module.conv1.register_forward_pre_hook(InputQuantizer(*numbers))
    file = open_file(packed())
    file.about["inputs"], file.fingerprint = {"conv1": numbers}, bytes.fromhex(fingerprint(module))[:DIGEST_BYTES]
    with pytest.raises(CheckpointError, match="net has quantizers of layer inputs that no network can have"):
        load_exported(file.close(), "net", "net")
