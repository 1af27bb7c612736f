"""The ledger of a packed file: its items add up to the file, and the sentences about it agree with them."""

from functools import lru_cache
from pathlib import Path

import pytest
import torch
from torch import nn

from compression.core.compress import compress
from compression.errors import CodecError
from compression.files.ledger import FileLedger, LayerBytes, count_file, encode_file, explain_size, file_ledger
from compression.files.packed_file import pack_layers
from compression.files.packed_reader import verify_content, verify_file
from compression.files.size import count_bytes
from compression.networks.bundled import load_bundled
from compression.spec import CompressionSpec, PruneSpec, QuantSpec


@lru_cache
def ledger(spec: CompressionSpec) -> tuple[FileLedger, int]:
    model = load_bundled("simple_cnn")
    content, file = encode_file(compress(model.module, spec), model)
    return file, len(content)


SPECS = [
    CompressionSpec("simple_cnn"),
    CompressionSpec("simple_cnn", PruneSpec(sparsity=0.9)),
    CompressionSpec("simple_cnn", None, QuantSpec(4)),
    CompressionSpec("simple_cnn", PruneSpec(sparsity=0.9), QuantSpec(4)),
    CompressionSpec("simple_cnn", PruneSpec(structure="n:m"), QuantSpec(8, "min-max")),
    CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5, structure="filter"), QuantSpec(2, "k-means")),
    CompressionSpec("simple_cnn", PruneSpec(sparsity=1.0), QuantSpec(4)),
]
each_spec = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.prune}-{spec.weights}")


@each_spec
def test_the_steps_go_from_32_bits_per_weight_to_the_bytes_on_the_disk(spec: CompressionSpec) -> None:
    file, nbytes = ledger(spec)
    assert sum(file.steps.values()) == file.total == nbytes
    assert file.steps["float32"] + file.rest <= file.float32
    assert file.steps["fewer bits"] <= 0
    assert file.steps["pruned"] <= 0
    assert min(file.steps[name] for name in ("scales", "places", "rest", "container")) >= 0


@each_spec
def test_the_file_takes_no_more_than_the_in_memory_size(spec: CompressionSpec) -> None:
    """This holds for each layer too: its bytes are at most those of the smaller of dense and sparse."""
    file, _ = ledger(spec)
    size = count_bytes(compress(load_bundled("simple_cnn").module, spec))
    assert file.coded <= size.best.total
    assert file.rest <= size.best.rest
    assert file.float32 == size.float32
    for layer, layer_size in zip(file.layers, size.layers, strict=True):
        assert layer.total <= min(layer_size.dense.total, layer_size.sparse.total)


@each_spec
def test_an_estimate_while_a_slider_moves_is_at_most_8_percent_too_high(spec: CompressionSpec) -> None:
    """It leaves out a coding that can only save bytes, so it is never too low."""
    model, (file, _) = load_bundled("simple_cnn"), ledger(spec)
    quick = count_file(compress(model.module, spec), model, quick=True)
    assert file.exact
    assert quick.exact == (spec == CompressionSpec(spec.model))
    assert file.total <= quick.total <= 1.08 * file.total
    assert sum(quick.steps.values()) == quick.total


@each_spec
def test_codes_and_places_stay_within_2_percent_of_the_order_0_bound(spec: CompressionSpec) -> None:
    for layer in ledger(spec)[0].layers:
        assert layer.total - layer.scales <= 1.02 * layer.bound + 64


def test_a_file_is_refused_as_the_file_of_another_network(tmp_path: Path) -> None:
    model = load_bundled("simple_cnn")
    four, five = (compress(model.module, CompressionSpec("simple_cnn", None, QuantSpec(bits))) for bits in (4, 5))
    content, file = encode_file(four, model)
    assert len(content) == file.total
    verify_content(content, four)
    path = tmp_path / "four.safetensors"
    path.write_bytes(content)
    verify_file(path, four)
    with pytest.raises(CodecError, match="does not decode to the network that was compressed"):
        verify_file(path, five)


def test_a_network_without_pruning_stores_no_places() -> None:
    assert ledger(CompressionSpec("simple_cnn", None, QuantSpec(4)))[0].steps["places"] == 0


@pytest.mark.parametrize("bits", [None, 4])
def test_the_places_of_a_quarter_of_the_weights_take_their_entropy(bits: int | None) -> None:
    """h(1/4) = 0.8113 bits per weight, for quantized and for float weights."""
    layer = nn.Linear(400, 100).eval()
    with torch.no_grad():
        layer.weight.copy_(torch.rand(100, 400, generator=torch.Generator().manual_seed(0)) + 1)
    spec = CompressionSpec("net", PruneSpec(sparsity=0.75), bits and QuantSpec(bits))
    [fc] = file_ledger(pack_layers(compress(layer, spec)), 0).layers
    assert (fc.coding, fc.survivors) == ("entropy", 10_000)
    assert fc.places == pytest.approx(0.8113 * 40_000 / 8, abs=20)
    assert fc.codes < 10_000 * (bits or 32) / 8


def example(bits: int, survivors: int, codes: int, places: int) -> FileLedger:
    """Returns the ledger of 1000 weights with 100 bytes of scales, 200 of rest and 100 of container."""
    return FileLedger(4200, (LayerBytes("fc", 1000, survivors, bits, "dense", codes, places, 0, 100, 0.0),), 200, 100)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (
            example(32, 100, 400, 600),
            "The file is 3 times smaller than the float32 network. 90 % sparsity would make it 10 times smaller. It is "
            "larger than that because 43 % of the file holds the positions of nonzero weights, 14 % holds "
            "biases and batch norm, 7 % holds scales, zero points and codebooks, 7 % holds the header.",
        ),
        (
            example(8, 1000, 500, 0),
            "The file is 4.67 times smaller than the float32 network. 8 bits per weight would make it 4 times smaller. "
            "It is smaller than that because entropy coding shortens the codes by 50 %, although 22 % of the file "
            "holds biases and batch norm, 11 % holds scales, zero points and codebooks, 11 % holds the header.",
        ),
        (
            example(8, 1000, 650, 0),
            "The file is 4 times smaller than the float32 network, as 8 bits per weight would make it. Entropy coding "
            "shortens the codes by 35 % and 19 % of the file holds biases and batch norm, 10 % holds scales, "
            "zero points and codebooks, 10 % holds the header.",
        ),
        (
            example(32, 1000, 4000, 0),
            "All weights are stored as float32. 5 % of the file holds biases and batch norm, 2 % holds scales, "
            "zero points and codebooks, 2 % holds the header.",
        ),
        (
            example(8, 0, 0, 0),
            "All weights are zero. 50 % of the file holds biases and batch norm, 25 % holds scales, zero "
            "points and codebooks, 25 % holds the header.",
        ),
    ],
)
def test_the_sentence_gives_the_expected_size_and_why_the_file_differs(file: FileLedger, words: str) -> None:
    assert explain_size(file) == words
