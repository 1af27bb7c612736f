"""Flipped bits by laws: twice is never, the words are those of IEEE 754 and two's complement, files are refused."""

import struct

import numpy as np
import pytest
import torch
from torch import nn

from compression.core.compress import compress
from compression.core.evidence import Sample
from compression.core.record import CompressedModel
from compression.core.training_evidence import evidence_for
from compression.data.images import ImageSet
from compression.engine.cluster import Engine
from compression.files.exported import load_exported
from compression.files.packed_file import assemble, pack_layers
from compression.inside.bits.packed import BODY_BITS, FILE_BITS, flip_file
from compression.inside.bits.report import AT_ONE_POSITION, COUNTS, Storage, report_storage, storages, trials
from compression.inside.bits.words import Flip, Trial, count_right, draw, flip_bits, words_of
from compression.inside.bits.worst import worst_candidates, worst_of
from compression.inside.calls import bit_flip_calls
from compression.inside.inspector import Inspector
from compression.networks.model import FloatModel
from compression.spec import ActivationSpec, CompressionSpec, Granularity, PruneSpec, QuantSpec, Scheme

SPECS = {
    "float": CompressionSpec("simple_cnn"),
    "8 bits": CompressionSpec("simple_cnn", weights=QuantSpec(8)),
    "4 bits": CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5), weights=QuantSpec(4)),
    **{
        scheme: CompressionSpec("simple_cnn", weights=QuantSpec(scheme.nearest_bits(4), scheme))
        for scheme in (Scheme.AFFINE, Scheme.MIN_MAX, Scheme.K_MEANS, Scheme.POWER_OF_TWO, Scheme.TERNARY)
    },
    "groups": CompressionSpec("simple_cnn", weights=QuantSpec(4, granularity=Granularity.GROUP)),
    "inputs": CompressionSpec("simple_cnn", weights=QuantSpec(4), activations=ActivationSpec(8)),
}


def compressed_as(model: FloatModel, spec: CompressionSpec) -> CompressedModel:
    return compress(model.module, spec, evidence_for(model, spec))


def tiny(bits: int | None = None) -> CompressedModel:
    """Returns one linear layer with the weights 1, -0.6 and 0.25, as float or as codes of so many bits."""
    layer = nn.Linear(3, 1, bias=False)
    layer.weight.data = torch.tensor([[1.0, -0.6, 0.25]])
    quant = QuantSpec(bits) if bits else None
    return compress(nn.Sequential(layer).eval(), CompressionSpec("tiny", weights=quant))


def weights_after(compressed: CompressedModel, *flips: Flip) -> list[float]:
    module = flip_bits(compressed, flips)
    assert isinstance(module, nn.Sequential)
    weight = module[0].weight
    assert isinstance(weight, torch.Tensor)
    return weight.flatten().tolist()


def test_a_float_bit_is_that_of_ieee_754() -> None:
    for weight, value in enumerate((1.0, -0.6, 0.25)):
        for bit in range(32):
            [word] = struct.unpack("<I", struct.pack("<f", value))
            [expected] = struct.unpack("<f", struct.pack("<I", word ^ (1 << bit)))
            after = weights_after(tiny(), Flip("0", weight, bit))[weight]
            assert after == expected or (np.isnan(after) and np.isnan(expected))


def test_a_code_is_in_twos_complement() -> None:
    """On paper: 4 bits have the codes -7 to 7 and the scale 1/7, so the weights are 7, -4 and 2."""
    codes = [7, -4, 2]
    for weight, code in enumerate(codes):
        for bit in range(4):
            word = (code % 16) ^ (1 << bit)
            expected = (word - 16 if word >= 8 else word) / 7
            assert weights_after(tiny(4), Flip("0", weight, bit))[weight] == pytest.approx(expected)
    assert weights_after(tiny(4), Flip("0", 0, 3), Flip("0", 0, 0))[0] == pytest.approx(-2 / 7)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_words_decode_to_the_weights_and_a_flip_changes_one_weight(
    simple_cnn: FloatModel, spec: CompressionSpec
) -> None:
    compressed = compressed_as(simple_cnn, spec)
    for record in compressed.layers:
        words, decode = words_of(record)
        assert int(words.min()) >= 0
        assert int(words.max()) < 2**record.bits
        without_code = decode(words).view(record.weight.shape) != record.weight
        assert (record.weight[without_code] == 0).all()  # zeros of the float network, which stay zero
    [flip] = draw(compressed.layers, Trial(1, 5))
    before, after = (dict(each.named_parameters()) for each in (compressed.module, flip_bits(compressed, [flip])))
    changed = {name: int((before[name] != after[name]).sum()) for name in before}
    assert sum(changed.values()) <= 1
    assert {name for name, count in changed.items() if count} <= {f"{flip.layer}.weight"}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_no_flip_changes_nothing_and_the_network_that_is_flipped_stays(
    simple_cnn: FloatModel, spec: CompressionSpec
) -> None:
    compressed, inputs = compressed_as(simple_cnn, spec), torch.randn(2, 3, 32, 32)
    before = compressed.module(inputs)
    assert torch.equal(flip_bits(compressed, [])(inputs), before)
    flip_bits(compressed, draw(compressed.layers, Trial(64)))
    assert torch.equal(compressed.module(inputs), before)


def test_flips_are_different_bits_and_the_same_for_the_same_seed(simple_cnn: FloatModel) -> None:
    layers = compressed_as(simple_cnn, SPECS["8 bits"]).layers
    flips = draw(layers, Trial(1000, 3))
    assert len(set(flips)) == 1000
    assert flips == draw(layers, Trial(1000, 3))
    assert flips != draw(layers, Trial(1000, 4))
    assert {each.bit for each in flips} == set(range(8))
    sizes = {each.name: each.weights for each in layers}
    assert all(0 <= each.weight < sizes[each.layer] for each in flips)
    share = sizes["fc1"] / sum(sizes.values())
    assert sum(each.layer == "fc1" for each in flips) / 1000 == pytest.approx(share, abs=0.05)


def test_flips_at_one_position_are_all_there(simple_cnn: FloatModel) -> None:
    layers = compressed_as(simple_cnn, SPECS["8 bits"]).layers
    assert {each.bit for each in draw(layers, Trial(50, 0, 6))} == {6}
    assert len(draw(tiny(4).layers, Trial(100))) == 12  # all that there are


def test_an_image_whose_logits_are_not_finite_counts_as_wrong() -> None:
    logits = torch.tensor([[0.0, 1.0], [0.0, torch.nan], [0.0, torch.inf], [1.0, 0.0]])
    assert count_right(logits, torch.ones(4, dtype=torch.long)) == 1


def test_the_first_candidate_is_the_bit_with_the_largest_first_order_change() -> None:
    """On paper: the gradient of a linear layer is largest for the largest input."""
    compressed = tiny(4)
    layer = nn.Linear(3, 2, bias=False)
    layer.weight.data = torch.tensor([[1.0, -0.5, 0.25], [0.1, 0.2, 0.3]])
    compressed = compress(nn.Sequential(layer).eval(), CompressionSpec("tiny", weights=QuantSpec(4)))
    sample = Sample(torch.tensor([[0.1, 0.2, 5.0]]), torch.tensor([0]))
    [flip] = worst_candidates(compressed, sample, 1)
    assert (flip.weight % 3, flip.bit) == (2, 3)  # the input 5, and the sign
    assert flip.weight == 2  # of the first row, whose scale is larger


def test_the_worst_bit_is_the_candidate_that_counting_finds_worst(
    simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    compressed, images = compressed_as(simple_cnn, SPECS["float"]), test_images[:50]
    sample = Sample(simple_cnn.normalization(images.pixels), images.labels)
    counts = {}
    for each in worst_candidates(compressed, sample):
        logits = flip_bits(compressed, [each])(sample.inputs)
        counts[each] = count_right(logits.detach(), images.labels)
    worst = worst_of(compressed, counts)
    assert worst.correct == min(counts.values()) <= 15  # of 50: as good as lost
    assert worst.flip.bit == 30  # the highest bit of the exponent
    assert abs(worst.after) > 1e30 * abs(worst.before)


@pytest.mark.parametrize("name", ["float", "8 bits", "4 bits"])
def test_every_flipped_bit_of_a_packed_file_is_refused(simple_cnn: FloatModel, name: str) -> None:
    compressed = compressed_as(simple_cnn, SPECS[name])
    each = flip_file(assemble(pack_layers(compressed), simple_cnn), compressed)
    assert each.refusals == each.bits == FILE_BITS
    assert 0 <= each.detections <= each.body_bits == BODY_BITS
    assert 0 <= each.mean_change <= each.largest_change + 1e-9 <= 1
    assert each.detections or each.largest_change


def test_the_settings_of_now_are_a_storage_of_their_own_if_they_differ(simple_cnn: FloatModel) -> None:
    usual = [each.name for each in storages(simple_cnn, SPECS["8 bits"], compressed_as(simple_cnn, SPECS["8 bits"]))]
    assert usual == ["float32", "8-bit codes", "4-bit codes"]
    four_bits = compressed_as(simple_cnn, SPECS["4 bits"])
    assert storages(simple_cnn, SPECS["4 bits"], four_bits)[-1] == Storage("settings of now", SPECS["4 bits"], 4)


def test_of_a_network_that_is_compressed_already_the_codes_of_its_file_are_flipped(
    here: Engine, simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    network = load_exported(
        assemble(pack_layers(compressed_as(simple_cnn, SPECS["4 bits"])), simple_cnn), "own.safetensors", "own"
    )
    as_stored = CompressionSpec("own")
    first, *others = storages(network, as_stored, network.compressed)
    assert first == Storage("codes of its file", as_stored, 4)
    assert [each.name for each in others] == ["8-bit codes", "4-bit codes"]
    *_, last = Inspector(here).follow(bit_flip_calls(here, network, as_stored, 4, test_images, 60))
    report = report_storage(first, 60, last.results)
    assert len(report.by_position) == 4
    assert report.worst.flip.bit == 3  # the sign of a code, and not the exponent of a float
    assert report.file == flip_file(network.content, network.compressed)


def test_workers_flip_the_same_bits_as_this_process(
    here: Engine, simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    compressed, images = compressed_as(simple_cnn, SPECS["4 bits"]), test_images[:60]
    storage = storages(simple_cnn, SPECS["4 bits"], compressed)[-1]
    calls = bit_flip_calls(here, simple_cnn, storage.spec, storage.bits, test_images, 60)
    assert len(calls) == len(trials(4)) + 2
    *_, last = Inspector(here).follow(calls)
    report = report_storage(storage, 60, last.results)

    def count(trial: Trial) -> int:
        module = flip_bits(compressed, draw(compressed.layers, trial))
        return count_right(module(simple_cnn.normalization(images.pixels)).detach(), images.labels)

    assert report.unflipped == count(Trial(0))
    assert report.by_count[COUNTS[-1]][1] == pytest.approx(count(Trial(COUNTS[-1], 1)), abs=1)
    assert report.by_position[3] == pytest.approx(count(Trial(AT_ONE_POSITION, 0, 3)), abs=1)
    assert report.worst.correct <= report.unflipped
    assert not isinstance(report.file, str)
    assert report.file.refusals == report.file.bits
