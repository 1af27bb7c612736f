"""Other compressors get the same content as the packed file, which is smaller than what they make of it."""

import lzma

import numpy as np
import pytest
import torch

from compression.core.compress import compress
from compression.core.record import CompressedModel
from compression.files import rivals
from compression.files.packed_file import assemble, pack_layers
from compression.files.rivals import COMPRESSORS, DEEP_COMPRESSION, count_rivals
from compression.networks.bundled import load_bundled
from compression.spec import CompressionSpec, PruneSpec, QuantSpec

CELLS = [(bits, sparsity) for bits in (8, 4, 2) for sparsity in (0.0, 0.5, 0.9)]


def compressed(name: str, bits: int, sparsity: float) -> CompressedModel:
    spec = CompressionSpec(name, PruneSpec(sparsity=sparsity), QuantSpec(bits))
    return compress(load_bundled(name).module, spec)


@pytest.mark.parametrize(("bits", "sparsity"), CELLS)
def test_the_packed_file_is_smaller_than_that_of_every_other_compressor(bits: int, sparsity: float) -> None:
    """And xz finds less than 1 % to save in it."""
    model = load_bundled("resnet20")
    parts = pack_layers(compressed("resnet20", bits, sparsity))
    content, counts = assemble(parts, model), dict(count_rivals(parts, model))
    assert list(counts) == [*COMPRESSORS, DEEP_COMPRESSION]
    assert len(content) < min(counts.values())
    assert len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)) > 0.99 * len(content)


@pytest.mark.parametrize("bits", [12, 16])
def test_codes_and_zero_points_of_more_than_eight_bits_are_content_too(
    bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With zero weights that have no code, 16 bits have 2^16 + 1 symbols."""
    monkeypatch.setattr(rivals, "COMPRESSORS", {"gzip -9": COMPRESSORS["gzip -9"]})  # xz and brotli take seconds
    model = load_bundled("simple_cnn")
    for scheme in ("affine", "min-max"):
        spec = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5), QuantSpec(bits, scheme))
        counts = dict(count_rivals(pack_layers(compress(model.module, spec)), model))
        assert list(counts) == ["gzip -9", DEEP_COMPRESSION]


def test_huffman_codes_of_a_hand_sized_example() -> None:
    """Of 4, 2, 1, 1 symbols: codes of 1, 2, 3, 3 bits, together 14 bits in 2 bytes, and a table of 4 bytes."""
    assert rivals._huffman_bytes(np.array([0, 0, 0, 0, 1, 1, 2, 3]), 4) == 2 + 4
    assert rivals._huffman_bytes(np.zeros(100, np.int64), 4) == 0 + 4


def test_every_gap_is_the_sum_of_its_fillers_and_what_is_left() -> None:
    """A zero weight after 2^g - 1 zeros makes 2^g of them: at 2 bits, 9 zeros are two of these and 1 zero."""
    sizes = []
    for gap in (1, 9):
        symbols, gaps = np.zeros(8, np.int64), np.full(8, gap)
        sizes.append(rivals._sparse_bytes(symbols, gaps, 1, bits=2))
    one_symbol = 2 + 4  # tables alone: all symbols are equal, and all gaps
    assert sizes[0] == one_symbol
    assert sizes[1] == one_symbol + 2 * 3  # 8 symbols among 16 fillers, 8 gaps among 16 full ones: a bit for each of 24


def test_the_content_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the code of every weight and every other number."""
    contents: list[bytes] = []
    monkeypatch.setattr(rivals, "COMPRESSORS", {"none": lambda content: contents.append(content) or content})
    network, model = compressed("simple_cnn", 8, 0.0), load_bundled("simple_cnn")
    _ = list(count_rivals(pack_layers(network), model))
    codes = sum(record.weights for record in network.layers)
    scales = sum(record.qparams.scale.numel() for record in network.layers)
    others = sum(value.numel() for value in model.module.state_dict().values()) - codes
    settings = contents[0].index(b'"inputs":{}}') + len(b'"inputs":{}}')
    assert len(contents[0]) == settings + codes + 4 * (scales + others)
    last = torch.frombuffer(bytearray(contents[0][-4 * 10 :]), dtype=torch.float32)
    assert torch.equal(last, list(model.module.state_dict().values())[-1])
