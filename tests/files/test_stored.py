"""A network that is read from its packed file is compressed already: it has the codes, scales and bytes of the file."""

import pickle
from dataclasses import replace

import pytest
import torch

from compression.core.compress import compress
from compression.core.evidence import Evidence
from compression.core.network import with_source
from compression.core.observe import observe
from compression.core.record import CompressedModel, bit_operations
from compression.errors import CodecError
from compression.files.exported import load_exported
from compression.files.ledger import count_file, encode_file
from compression.files.packed_file import fingerprint, to_bytes
from compression.files.size import count_bytes
from compression.files.stored import StoredNetwork, compress_network, is_as_stored, read_compressed
from compression.networks.macs import layer_macs
from compression.networks.model import FloatModel, freeze_
from compression.networks.normalization import NORMALIZATIONS
from compression.spec import ActivationSpec, CompressionSpec, LayerSpec, PruneSpec, QuantSpec
from tests.support.networks import images, network

ARCH = "resnet8"
SPECS = {
    "sparse": CompressionSpec(ARCH, PruneSpec(sparsity=0.9)),
    "2:4": CompressionSpec(ARCH, PruneSpec(structure="n:m", pattern=(2, 4)), QuantSpec(8)),
    "filters": CompressionSpec(ARCH, PruneSpec(sparsity=0.5, structure="filter", criterion="l1"), QuantSpec(4)),
    "4 bits, folded": CompressionSpec(ARCH, weights=QuantSpec(4), fold_bn=True),
    "activations": CompressionSpec(ARCH, weights=QuantSpec(2), activations=ActivationSpec(2)),
    "sparse 4 bits": CompressionSpec(ARCH, PruneSpec(sparsity=0.8), QuantSpec(4)),
    "affine": CompressionSpec(ARCH, weights=QuantSpec(5, "affine")),
    "min-max": CompressionSpec(ARCH, PruneSpec(sparsity=0.5), QuantSpec(4, "min-max")),
    "per tensor": CompressionSpec(ARCH, weights=QuantSpec(3, granularity="tensor")),
    "groups": CompressionSpec(ARCH, weights=QuantSpec(3, granularity="group", group_size=32)),
    "ternary": CompressionSpec(ARCH, weights=QuantSpec(2, "ternary")),
    "binary": CompressionSpec(ARCH, weights=QuantSpec(1, "binary")),
    "powers": CompressionSpec(ARCH, weights=QuantSpec(4, "power-of-two")),
    "k-means": CompressionSpec(ARCH, weights=QuantSpec(3, "k-means", granularity="tensor")),
    "step": CompressionSpec(ARCH, weights=QuantSpec(16, "step", step=0.02)),
    "ends float": CompressionSpec(ARCH, weights=QuantSpec(4, skip_ends=True), layers=(LayerSpec("conv1", bits=8),)),
}


def float_model() -> FloatModel:
    return FloatModel(ARCH, freeze_(network(ARCH)), NORMALIZATIONS["half"], None, {"arch": ARCH})


def written(spec: CompressionSpec) -> tuple[CompressedModel, bytes]:
    model = float_model()
    evidence = Evidence(calibration=observe(model.module, images()))
    compressed = compress(model.module, spec, evidence)
    return compressed, to_bytes(compressed, model)


@pytest.mark.parametrize("name", SPECS)
def test_a_file_that_is_read_and_written_again_is_the_same_file(name: str) -> None:
    compressed, content = written(SPECS[name])
    stored = load_exported(content, "small.safetensors", "small")
    assert fingerprint(stored.module) == fingerprint(stored.compressed.module) == fingerprint(compressed.module)
    again, ledger = encode_file(stored.compressed, stored)
    assert again == content
    assert ledger.total == stored.nbytes == len(content) == count_file(stored.compressed, stored).total


@pytest.mark.parametrize("name", SPECS)
def test_its_layers_have_the_bits_and_the_sizes_of_those_that_were_written(name: str) -> None:
    compressed, content = written(SPECS[name])
    read = read_compressed(content, "small")
    assert read.spec == SPECS[name]
    assert [(each.name, each.bits, each.inputs) for each in read.layers] == [
        (each.name, each.bits, each.inputs) for each in compressed.layers
    ]
    assert [each.nonzero for each in read.layers] == [each.nonzero for each in compressed.layers]
    for each, other in zip(read.layers, compressed.layers, strict=True):
        assert torch.equal(each.weight, other.weight)
    macs = layer_macs(float_model().module, float_model().example)
    assert bit_operations(read, macs) == bit_operations(compressed, macs)
    assert count_bytes(read).dense.codes == count_bytes(compressed).dense.codes


def test_it_is_compressed_by_no_spec_but_one_that_changes_it() -> None:
    _, content = written(SPECS["4 bits, folded"])
    stored = load_exported(content, "small.safetensors", "small")
    for spec in (CompressionSpec("small"), CompressionSpec("other", fold_bn=True)):
        assert is_as_stored(stored, spec)
        assert compress_network(stored, spec) is stored.compressed
    pruned = CompressionSpec("small", PruneSpec(sparsity=0.9))
    assert not is_as_stored(stored, pruned)
    assert compress_network(stored, pruned).sparsity == pytest.approx(0.9, abs=0.01)
    assert not is_as_stored(float_model(), CompressionSpec(ARCH))


def test_batch_norm_that_is_not_folded_yet_can_be_folded() -> None:
    _, content = written(SPECS["sparse"])
    stored = load_exported(content, "small.safetensors", "small")
    folding = CompressionSpec("small", fold_bn=True)
    assert not is_as_stored(stored, folding)
    assert compress_network(stored, folding).spec == folding


def test_it_travels_to_workers_and_keeps_its_class_under_another_name() -> None:
    _, content = written(SPECS["activations"])
    stored = load_exported(content, "small.safetensors", "small")
    assert stored.compressed.spec == stored.spec == SPECS["activations"]
    again = pickle.loads(pickle.dumps(replace(stored, name="other")))
    assert isinstance(again, StoredNetwork)
    assert again.digest == stored.digest
    assert fingerprint(again.compressed.module) == fingerprint(again.module)


def test_a_damaged_file_has_no_compressed_network() -> None:
    _, content = written(SPECS["sparse"])
    with pytest.raises(CodecError, match="damaged"):
        read_compressed(content[:-1] + bytes([content[-1] ^ 1]), "small")


def test_a_compressed_network_of_python_can_be_made_of_it() -> None:
    _, content = written(SPECS["ternary"])
    stored = load_exported(content, "small.safetensors", "small")
    assert encode_file(with_source(stored.compressed, stored), stored)[0] == content
