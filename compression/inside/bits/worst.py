"""The one bit whose flip costs most, found by the gradient and checked by counting."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from compression.core.evidence import Sample
from compression.core.gradients import loss_gradients
from compression.core.record import CompressedModel
from compression.inside.bits.words import Flip, flip_layer, words_of
from compression.inside.saliency import with_gradients

CANDIDATES = 8  # bits that are counted to find the worst one

GRADIENT_IMAGES = 100


@dataclass(frozen=True)
class WorstBit:
    """The candidate that costs most: how many images are still classified correctly after this one flip.

    `before` and `after` are the weight's values, `candidates` the numbers of correct images after each candidate.
    """

    flip: Flip
    before: float
    after: float
    correct: int
    candidates: tuple[int, ...]


def worst_candidates(compressed: CompressedModel, sample: Sample, count: int = CANDIDATES) -> tuple[Flip, ...]:
    """Returns the bit of each layer that changes the loss on `sample` most, to first order; the largest `count`.

    The change is |gradient by the weight x change of the weight|, as in the first step of the bit-flip attack of Rakin,
    He and Fan 2019 (arXiv:1903.12269). Changes that are not finite count as the largest float32.
    """
    gradients = loss_gradients(with_gradients(compressed.module), sample, compressed.spec.also)
    best = []
    for record in compressed.layers:
        words, decode = words_of(record)
        slope, weight = gradients[record.name].flatten().abs().double(), record.channels_first.flatten().double()
        for bit in range(record.bits):
            change = (decode(words ^ (1 << bit)).flatten().double() - weight).abs()
            score = slope * change.nan_to_num(torch.finfo(torch.float32).max, torch.finfo(torch.float32).max)
            place = int(score.argmax())
            best.append((float(score[place]), Flip(record.name, place, bit)))
    top: dict[str, tuple[float, Flip]] = {}
    for score_of, each in best:
        if score_of > top.get(each.layer, (-1.0, each))[0]:
            top[each.layer] = score_of, each
    return tuple(each for _, each in sorted(top.values(), key=lambda pair: -pair[0])[:count])


def worst_of(compressed: CompressedModel, counts: Mapping[Flip, int]) -> WorstBit:
    """Returns the candidate with the fewest correct images. counts: candidate -> correct images after this flip."""
    worst = min(counts, key=lambda each: counts[each])
    record = next(each for each in compressed.layers if each.name == worst.layer)
    after = flip_layer(record, [worst]).flatten()[worst.weight]
    return WorstBit(
        worst,
        float(record.channels_first.flatten()[worst.weight]),
        float(after),
        counts[worst],
        tuple(counts.values()),
    )
