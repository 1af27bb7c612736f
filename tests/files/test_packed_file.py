"""The packed file: it decodes to the network that was evaluated, for every method, and damaged files are refused."""

import itertools
import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from torch import nn

from compression.core.compress import compress
from compression.core.evidence import Evidence, Sample
from compression.core.observe import observe
from compression.core.record import CompressedModel, LayerRecord
from compression.errors import CodecError
from compression.files.coding.bits import Reader, varint
from compression.files.ledger import count_file, file_ledger
from compression.files.packed_file import (
    CONTENT,
    DIGEST_BYTES,
    FORMAT_KEY,
    FileParts,
    assemble,
    count_file_bytes,
    fingerprint,
    pack_layers,
    to_bytes,
)
from compression.files.packed_quantizer import QuantizerKind
from compression.files.packed_reader import load_compressed, verify_content
from compression.files.packed_weight import pack_weight, read_entry, unpack_weight
from compression.files.stored import read_compressed
from compression.networks.model import FloatModel, freeze_
from compression.networks.normalization import NORMALIZATIONS, Normalization
from compression.quantization.activations import InputQuantizer
from compression.quantization.vectors import is_vector, round_tensor
from compression.spec import (
    ActivationSpec,
    Clip,
    CompressionSpec,
    Granularity,
    LayerSpec,
    PruneSpec,
    QuantSpec,
    Scheme,
    Structure,
    VectorFormat,
)
from tests.support.networks import images, network
from tests.support.packed import body_of, open_file, with_checksum

ARCH = "resnet8"


@lru_cache
def model() -> FloatModel:
    return FloatModel("small", network(ARCH), NORMALIZATIONS["half"], 0.5, {"arch": ARCH})


@lru_cache
def evidence() -> Evidence:
    inputs = images(4)
    return Evidence(Sample(inputs, torch.arange(4)), observe(network(ARCH), inputs))


@cache
def compress_model(spec: CompressionSpec) -> CompressedModel:
    return compress(model().module, spec, evidence())


@cache
def parts_of(spec: CompressionSpec) -> FileParts:
    """Packs the layers once for all tests of a spec: that takes several times as long as all that is tested."""
    return pack_layers(compress_model(spec))


@cache
def file_of(spec: CompressionSpec) -> bytes:
    return assemble(parts_of(spec), model())


def decode(folder: Path, content: bytes) -> FloatModel:
    path = folder / "small.safetensors"
    path.write_bytes(content)
    return load_compressed(path)


def logits(module: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return freeze_(module)(images(2))


def unpacked(record: LayerRecord) -> torch.Tensor:
    """Returns the weight of a layer after packing and unpacking it."""
    packed = pack_weight(record)
    entry = read_entry(Reader(b"".join(map(varint, packed.entry))), record.weights)
    return unpack_weight(entry, packed.numbers.floats, Reader(packed.content), record.weight.shape)


def quant(scheme: Scheme, granularity: Granularity = Granularity.CHANNEL) -> QuantSpec:
    return QuantSpec(scheme.nearest_bits(4), scheme, granularity, step=0.01 if scheme is Scheme.STEP else None)


SPARSE = PruneSpec(sparsity=0.6)
PRUNED = {
    Structure.WEIGHT: SPARSE,
    Structure.FILTER: PruneSpec(sparsity=0.5, structure="filter"),
    Structure.N_M: PruneSpec(structure="n:m", pattern=(2, 4)),
}
SPECS = [
    *(
        CompressionSpec("small", PRUNED.get(structure), quant(scheme, granularity))
        for scheme, granularity, structure in itertools.product(Scheme, Granularity, [None, *Structure])
        if granularity is Granularity.CHANNEL or (structure is None and scheme is not Scheme.STEP)
    ),
    *(CompressionSpec("small", prune, fold_bn=True) for prune in (None, *PRUNED.values())),
    *(CompressionSpec("small", SPARSE, QuantSpec(4, clip=clip)) for clip in Clip),
    *(CompressionSpec("small", None, QuantSpec(bits, scheme)) for bits in (2, 9, 16) for scheme in list(Scheme)[:3]),
    CompressionSpec("small", None, QuantSpec(16, "power-of-two")),
    CompressionSpec("small", None, QuantSpec(8, "k-means")),
    CompressionSpec("small", None, QuantSpec(4, only="conv", skip_ends=True)),
    CompressionSpec("small", PruneSpec(sparsity=1.0), QuantSpec(4, "affine")),
    CompressionSpec("small", None, QuantSpec(4), (LayerSpec("fc", bits=32), LayerSpec("conv1", 3, 0.5))),
    CompressionSpec("small", SPARSE, QuantSpec(4), fold_bn=True, order="quantize-first"),
    CompressionSpec("small", None, QuantSpec(4), fold_bn=True, merge=0.5),
    CompressionSpec("small", SPARSE, QuantSpec(4), reestimate_bn=True),
    CompressionSpec("small", None, QuantSpec(4), activations=ActivationSpec(4)),
    CompressionSpec("small", SPARSE, activations=ActivationSpec(8, "percentile"), fold_bn=True),
]


def test_every_file_decodes_to_the_network_that_was_evaluated(tmp_path: Path) -> None:
    """All schemes with all granularities and structures, and other settings. No quantized layer is stored as float."""
    for spec in SPECS:
        compressed = compress_model(spec)
        network = decode(tmp_path, file_of(spec))
        state = network.module.state_dict()
        for key, value in compressed.module.state_dict().items():
            assert key.endswith("num_batches_tracked") or torch.equal(state[key], value), (spec, key)
        assert torch.equal(logits(network.module), logits(compressed.module)), spec
        assert json.loads(spec.to_json()) == network.about["spec"]
        layers = parts_of(spec).layers
        kinds = {weight.numbers.kind for record, weight in layers if weight and record.qparams}
        assert QuantizerKind.FLOAT not in kinds, spec
        assert network.normalization == NORMALIZATIONS["half"]


def test_the_bytes_of_a_file_are_known_without_making_it() -> None:
    for spec in SPECS:
        assert file_ledger(parts_of(spec), count_file_bytes(parts_of(spec), model())).total == len(file_of(spec)), spec
    assert count_file(compress_model(SPECS[0]), model()).total == len(file_of(SPECS[0]))


@pytest.mark.parametrize(
    ("scheme", "numbers"),
    [
        (Scheme.SYMMETRIC, (1, 0)),
        (Scheme.AFFINE, (1, 1)),
        (Scheme.MIN_MAX, (2, 0)),
        (Scheme.POWER_OF_TWO, (1, 0)),
        (Scheme.K_MEANS, (16, 0)),
        (Scheme.TERNARY, (1, 0)),
        (Scheme.BINARY, (1, 0)),
    ],
)
def test_a_channel_stores_only_the_numbers_that_its_quantizer_needs(scheme: Scheme, numbers: tuple[int, int]) -> None:
    for record in compress_model(CompressionSpec("small", None, quant(scheme))).layers:
        stored, channels = pack_weight(record).numbers, len(record.weight)
        assert (len(stored.floats), len(stored.wholes)) == tuple(channels * each for each in numbers)


def test_a_channel_without_nonzero_weights_needs_no_scale(tmp_path: Path) -> None:
    spec = CompressionSpec("small", PRUNED[Structure.FILTER], QuantSpec(4))
    for record in compress_model(spec).layers:
        scales, used = pack_weight(record).numbers.floats, record.channels_first.flatten(1).any(1).numpy()
        assert ((scales != 0) == used).all()


def test_the_quantizers_of_activations_are_restored(tmp_path: Path) -> None:
    spec = CompressionSpec("small", activations=ActivationSpec(3))
    compressed, module = compress_model(spec), decode(tmp_path, file_of(spec)).module
    assert [list(part._forward_pre_hooks.values()) for part in module.modules()] == [
        list(part._forward_pre_hooks.values()) for part in compressed.module.modules()
    ]
    assert not torch.equal(logits(module), logits(network(ARCH)))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("quantizer", [QuantSpec(4), QuantSpec(4, "affine", "group", group_size=16), None])
def test_transposed_convolutions_are_packed_with_their_output_channels_first(
    groups: int, quantizer: QuantSpec | None
) -> None:
    layer = nn.Sequential(nn.ConvTranspose2d(8, 12, 3, groups=groups)).eval()
    [record] = compress(layer, CompressionSpec("net", SPARSE, quantizer)).layers
    assert torch.equal(unpacked(record), record.weight)


def test_weights_that_do_not_determine_their_codes_are_stored_as_float() -> None:
    """These are far from zero and close together, so that neighbouring codes have the same float32 value."""
    layer = nn.Linear(64, 1, bias=False).eval()
    with torch.no_grad():
        layer.weight.copy_(500 + 0.01 * torch.randn(1, 64, generator=torch.Generator().manual_seed(1)))
    [record] = compress(layer, CompressionSpec("net", SPARSE, QuantSpec(16, "min-max"))).layers
    [unpruned] = compress(layer, CompressionSpec("net", None, QuantSpec(16, "min-max"))).layers
    assert pack_weight(unpruned).numbers.kind is QuantizerKind.FLOAT
    for each in (record, unpruned):
        assert torch.equal(unpacked(each), each.weight)


def test_the_file_is_safetensors_with_bytes() -> None:
    tensors = safetensors.torch.load(file_of(CompressionSpec("small", SPARSE, QuantSpec(4))))
    assert {key: value.dtype for key, value in tensors.items()} == {CONTENT: torch.uint8}


def test_normalisation_and_classes_are_in_the_file(tmp_path: Path) -> None:
    """Also of a normalisation and of classes that this version does not know."""
    images = Normalization("mine", (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    other = replace(model(), normalization=images, classes=("a", "b"))
    network = decode(tmp_path, to_bytes(compress_model(CompressionSpec("small", None, QuantSpec(4))), other))
    assert (network.normalization, network.classes) == (images, ("a", "b"))


def test_a_network_of_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match="small has no known architecture, so a packed file cannot name it; known"):
        to_bytes(compress_model(CompressionSpec("small")), replace(model(), about={}))


# ---- damaged files


@pytest.fixture(scope="module")
def whole() -> bytes:
    spec = CompressionSpec("small", SPARSE, QuantSpec(4), (LayerSpec("fc", bits=32),), activations=ActivationSpec(4))
    return file_of(spec)


def flip_bit(content: bytes, chance: random.Random, upto: int | None = None) -> bytes:
    copy = bytearray(content)
    copy[chance.randrange(upto or len(copy))] ^= 1 << chance.randrange(8)
    return bytes(copy)


def truncate(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def lengthen(content: bytes, chance: random.Random) -> bytes:
    return content + chance.randbytes(chance.randint(1, 9))


def flip_header_bit(content: bytes, chance: random.Random) -> bytes:
    return flip_bit(content, chance, 8 + int.from_bytes(content[:8], "little"))


def edit_header(content: bytes, chance: random.Random) -> bytes:
    """Returns a well-formed file with another value somewhere in its JSON."""
    return edit(content, lambda about: spoil(about, chance))


@pytest.mark.parametrize("damage", [flip_bit, flip_header_bit, edit_header, truncate, lengthen])
def test_each_of_500_damaged_files_is_refused_with_a_sentence(
    damage: Callable[[bytes, random.Random], bytes], whole: bytes, tmp_path: Path
) -> None:
    chance = random.Random(0)
    for _ in range(100):
        with pytest.raises(CodecError) as error:
            decode(tmp_path, damage(whole, chance))
        assert "small.safetensors" in str(error.value)
        assert "\n" not in str(error.value)


def test_changed_settings_with_a_valid_checksum_never_decode_to_other_weights(whole: bytes, tmp_path: Path) -> None:
    chance = random.Random(1)
    network_of_file = decode(tmp_path, whole).module
    refusals = 0
    for _ in range(150):
        try:
            change = partial(spoil, chance=chance, within=("tensors", "inputs"))
            network = decode(tmp_path, edit(whole, change, sign=True))
        except CodecError:
            refusals += 1
        else:
            assert fingerprint(network.module) == fingerprint(network_of_file)
    assert refusals > 100


def test_changed_bytes_with_a_valid_checksum_never_decode_to_other_weights(whole: bytes, tmp_path: Path) -> None:
    chance = random.Random(2)
    network_of_file = decode(tmp_path, whole).module
    refusals = 0
    for _ in range(150):
        body = body_of(whole)
        damaged = body[:DIGEST_BYTES] + flip_bit(body[DIGEST_BYTES:], chance)
        try:
            network = decode(tmp_path, with_checksum(damaged))
        except CodecError:
            refusals += 1
        else:
            assert fingerprint(network.module) == fingerprint(network_of_file)
    assert refusals > 140


def edit(content: bytes, change: Callable[[Any], None], sign: bool = False) -> bytes:
    """Returns the file after `change` of its JSON; with `sign`, the checksum is the right one for the new bytes."""
    file = open_file(content)
    change(file.about)
    return file.close(sign)


def spoil(about: Any, chance: random.Random, within: tuple[str, ...] = ()) -> None:
    """Changes one value somewhere in `about`, in place."""
    node = about
    key: Any = chance.choice(within or list(node))
    while isinstance(node[key], dict | list) and node[key]:
        node = node[key]
        key = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
    old = node[key]
    node[key] = chance.choice([each for each in (old, 0, -1, 7, 2**40, "x", None, [], "gaps") if each != old])


@pytest.mark.parametrize("content", [b"", b"not a network", safetensors.torch.save({"a": torch.zeros(3)})])
def test_a_file_that_is_no_packed_file_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(CodecError, match=r"small.safetensors is .*not a packed file"):
        decode(tmp_path, content)


def test_a_missing_file_and_a_folder_have_their_own_errors(tmp_path: Path) -> None:
    with pytest.raises(CodecError, match=r"there is no file .*nowhere"):
        load_compressed(tmp_path / "nowhere")
    with pytest.raises(CodecError, match=r"cannot be read: Is a directory"):
        load_compressed(tmp_path)


@pytest.mark.parametrize("form", [*VectorFormat])
@pytest.mark.parametrize("fold", [False, True])
def test_biases_and_batch_norm_are_stored_as_they_are_evaluated(form: VectorFormat, fold: bool) -> None:
    spec = CompressionSpec(ARCH, weights=QuantSpec(4), fold_bn=fold, vector_format=form)
    compressed, file = compress_model(spec), file_of(spec)
    verify_content(file, compressed)
    assert safetensors_entry(file) == ("4" if form is VectorFormat.INT8 else "3")
    assert to_bytes(read_compressed(file, "a.safetensors"), model()) == file
    plain = replace(spec, vector_format="float32")
    assert (len(file) < len(file_of(plain)) - 100) is (form is not VectorFormat.FLOAT32)
    vectors = {key: tensor for key, tensor in compress_model(plain).module.state_dict().items() if is_vector(tensor)}
    for key, tensor in compressed.module.state_dict().items():
        expected = round_tensor(key, vectors[key], form) if key in vectors else tensor
        assert torch.equal(tensor, expected)


def test_a_quick_count_knows_the_vectors_and_the_weights_that_are_not_packed() -> None:
    """At 8 bits, codebooks of each channel take more than they save, so rounded weights are stored as float32."""
    quant = QuantSpec(8, "k-means")
    compressed = compress_model(CompressionSpec(ARCH, weights=quant, vector_format="int8"))
    parts = pack_layers(compressed)
    assert any(weight is None for _, weight in parts.layers)
    exact = count_file_bytes(parts, model())
    assert count_file_bytes(pack_layers(compressed, quick=True), model()) == pytest.approx(exact, rel=0.02)


def safetensors_entry(file: bytes) -> str:
    length = int.from_bytes(file[:8], "little")
    return json.loads(file[8 : 8 + length])["__metadata__"][FORMAT_KEY]


def test_another_format_is_refused(whole: bytes, tmp_path: Path) -> None:
    with pytest.raises(CodecError, match="has format 5; this version reads formats 3 and 4 only"):
        decode(tmp_path, safetensors.numpy.save(safetensors.numpy.load(whole), {FORMAT_KEY: "5"}))


def test_a_file_of_the_first_format_is_refused_by_its_number(tmp_path: Path) -> None:
    """There the entry was the JSON text of the settings, beside a checksum."""
    metadata = {FORMAT_KEY: json.dumps({"format": 1, "arch": ARCH}), "sha256": "0"}
    weight = {"conv1.weight": np.zeros(4, np.uint8)}
    with pytest.raises(CodecError, match="has format 1; this version reads formats 3 and 4 only, so compress it again"):
        decode(tmp_path, safetensors.numpy.save(weight, metadata))


def test_a_fingerprint_depends_on_input_quantizers_and_not_on_the_sign_of_zero() -> None:
    one, other, quantized = (nn.Sequential(nn.Linear(2, 1, bias=False)) for _ in range(3))
    for each, zero in ((one, 0.0), (other, -0.0), (quantized, 0.0)):
        each.requires_grad_(False)[0].weight.copy_(torch.tensor([[zero, 1.0]]))
    quantized[0].register_forward_pre_hook(InputQuantizer(4, 0.5, 3))
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) != fingerprint(quantized)
    digests = {FloatModel("a", each, NORMALIZATIONS["half"]).digest for each in (one, quantized)}
    assert len(digests) == 2
