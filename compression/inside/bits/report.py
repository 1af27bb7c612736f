"""Accuracy by flipped bits, in several ways to store the weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compression.core.record import CompressedModel
from compression.files.stored import StoredNetwork
from compression.inside.bits.packed import FileFlips
from compression.inside.bits.words import Trial
from compression.inside.bits.worst import WorstBit
from compression.networks.model import FloatModel
from compression.spec import FLOAT_BITS, CompressionSpec, QuantSpec

COUNTS = (1, 8, 64, 512, 4096)  # flipped bits of a network

SEEDS = (0, 1, 2)

AT_ONE_POSITION = 16  # bits that are flipped where only one position of the word is


def trials(bits: int) -> tuple[Trial, ...]:
    """Returns what is tried with words of so many bits: nothing, more and more flips, and each position alone."""
    return (
        Trial(0),
        *(Trial(count, seed) for count in COUNTS for seed in SEEDS),
        *(Trial(AT_ONE_POSITION, 0, position) for position in range(bits)),
    )


@dataclass(frozen=True)
class Storage:
    """A way to store the weights: what it is called, the spec that makes them, and the bits of its longest word."""

    name: str
    spec: CompressionSpec
    bits: int


def storages(model: FloatModel, spec: CompressionSpec, compressed: CompressedModel) -> tuple[Storage, ...]:
    """Returns float32, 8-bit and 4-bit codes of `model`, and `spec` itself, which makes the network `compressed`.

    Codes are symmetric with a scale per channel. Of a network that is compressed already, the codes of its file take
    the place of float32.
    """
    as_it_is = Storage("float32", CompressionSpec(spec.model), FLOAT_BITS)
    if isinstance(model, StoredNetwork):
        as_it_is = Storage("codes of its file", CompressionSpec(spec.model), _longest_word(model.compressed))
    usual = (
        as_it_is,
        *(Storage(f"{each}-bit codes", CompressionSpec(spec.model, weights=QuantSpec(each)), each) for each in (8, 4)),
    )
    if spec in {each.spec for each in usual}:
        return usual
    return *usual, Storage("settings of now", spec, _longest_word(compressed))


def _longest_word(compressed: CompressedModel) -> int:
    return max(layer.bits for layer in compressed.layers)


@dataclass(frozen=True)
class StorageReport:
    """What flipped bits cost a network in one storage, in correct images of `images`.

    `unflipped`: without a flip. `by_count`: number of flipped bits -> one count per seed. `by_position`: for each
    position of the word, the lowest first, with AT_ONE_POSITION bits flipped there. `file`: what a flipped bit does in
    the packed file, or why there is none.
    """

    name: str
    images: int
    unflipped: int
    by_count: dict[int, tuple[int, ...]]
    by_position: tuple[int, ...]
    worst: WorstBit
    file: FileFlips | str


def report_storages(ways: Sequence[Storage], images: int, results: Sequence[Any]) -> tuple[StorageReport, ...]:
    """Returns the reports of several storages, whose results follow each other."""
    sizes = [len(trials(each.bits)) + 2 for each in ways]
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    return tuple(
        report_storage(each, images, results[start : start + size])
        for each, start, size in zip(ways, starts, sizes, strict=True)
    )


def report_storage(storage: Storage, images: int, results: Sequence[Any]) -> StorageReport:
    """Returns the report from the results of `inspector.bit_flip_calls`."""
    *counts, worst, file = results
    by_trial = dict(zip(trials(storage.bits), counts, strict=True))
    return StorageReport(
        storage.name,
        images,
        by_trial[Trial(0)],
        {count: tuple(by_trial[Trial(count, seed)] for seed in SEEDS) for count in COUNTS},
        tuple(by_trial[Trial(AT_ONE_POSITION, 0, position)] for position in range(storage.bits)),
        worst,
        file,
    )
