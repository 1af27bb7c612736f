"""Entropy coding with contexts: the symbols of a weight in passes, each predicted by the passes before it.

Weights of one filter, of one input channel and above all of one kernel are of similar size, and in late layers of one
sign, which a coder that looks at each symbol alone does not use. So a weight (C_out, C_in, K), with K places in a
kernel, is coded in passes that spread evenly over filters, channels and places: the weight at (o, i, k) belongs to pass
2 ((o + i + k) mod P) + floor((o + i) / P) mod 2, with P = K, or POINTWISE_PASSES if K is 1. When a pass begins, a part
of every filter, channel and kernel is known, and its symbols are predicted all at once. (DeepCABAC, Wiedemann et al.
2019, arXiv:1907.11900, looks at the two weights before, one weight after the other.)

The value of symbol s is s - zero, and that of the last symbol, which stands for a zero weight, is 0; its magnitude is
the absolute value. All averages are relative to m, the mean magnitude by the frequencies, over the passes before:

    average(sum, number)    (sum / m + 4) / (number + 4)
    expected e              average in the filter * average in the input channel * average at the place of the kernel
    in the kernel b         (2 * sum / m + e) / (2 * number + 1), with the sum of magnitudes
    tendency t              sum / (m * (number + 1) * e), with the sum of values in the kernel

Symbols form classes by value (see `Classes`). The context of a weight is how many LIMITS are not above e * b, how many
TENDENCIES are not above |t|, and the smallest class of a magnitude that has occurred in its filter. (Pruning leaves
none below a threshold, which is another one in the steps of each filter.) If |t| is not below a tendency and t is
negative, the weight is mirrored; the class of a mirrored weight is that of the opposite value.

If class j occurred n_j times in a context before, among n weights, its probability there is
(n_j + PRIOR * q_j) / (n + PRIOR). Here q_j is what is expected from alike contexts, which differ in the smallest class
alone: (a_j + PRIOR * share_j) / (a + PRIOR), where class j occurred a_j times in all of them, among a weights, and
share_j is the mean of its share and that of the opposite class by the frequencies.

Within a pass, the classes of all weights come first, context after context. The symbols within each class follow, class
after class, with probabilities in proportion to their frequencies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import constriction
import numpy as np

from compression.cached_property import cached_property
from compression.files.coding.ans import categorical
from compression.files.coding.bits import Array, DamagedStream

POINTWISE_PASSES = 16

LIMITS = 2.0 ** np.arange(-3, 4)

TENDENCIES = np.array([0.4, 1.0])

PRIOR = 80

MOST_CLASSES = 7  # of values on either side of 0


def encode_in_contexts(symbols: Array, shape: tuple[int, ...], frequencies: Array, zero: int) -> bytes:
    """Encodes the symbols (n,) of a weight of `shape` (C_out, C_in, ...), as 32-bit little-endian words.

    `frequencies` (alphabet,) are whole numbers. Raises ValueError if only symbols of magnitude 0 have a frequency.
    """
    model = ContextModel(shape, frequencies, zero)
    classes, blocks = model.classes, []
    of_weight, narrow = classes.of_symbol[symbols], symbols.astype(np.int32)
    for places in model.passes():
        contexts, mirrored = model.predict(places)
        actual = of_weight[places]
        coded = classes.mirror(actual, mirrored)
        weights, narrow_coded = model.weights(), coded.astype(np.int32)
        blocks += [(narrow_coded[those], weights[context]) for context, those in _groups(contexts)]
        in_pass = narrow[places]
        for number, those in _groups(actual):
            first, of_class = classes.members(number)
            if len(of_class) > 1:
                blocks.append((in_pass[those] - np.int32(first), of_class))
        model.learn(contexts, coded, symbols[places])
    coder = constriction.stream.stack.AnsCoder()
    for block, weights in reversed(blocks):
        coder.encode_reverse(block, categorical(weights))
    return coder.get_compressed().astype("<u4").tobytes()


def decode_in_contexts(content: bytes, shape: tuple[int, ...], frequencies: Array, zero: int) -> Array:
    """Returns the symbols (n,) int64 that `encode_in_contexts` encoded. Raises DamagedStream for other bytes."""
    if len(content) % 4:
        raise DamagedStream
    try:
        model = ContextModel(shape, frequencies, zero)
    except ValueError:
        raise DamagedStream from None
    classes, symbols = model.classes, np.zeros(prod(shape), np.int64)
    coder = constriction.stream.stack.AnsCoder(np.frombuffer(content, "<u4").astype(np.uint32))
    for places in model.passes():
        contexts, mirrored = model.predict(places)
        weights, coded = model.weights(), np.zeros(len(places), np.int64)
        for context, those in _groups(contexts):
            coded[those] = coder.decode(categorical(weights[context]), len(those))
        decoded = np.zeros(len(places), np.int64)
        for number, those in _groups(classes.mirror(coded, mirrored)):
            first, of_class = classes.members(number)
            decoded[those] = first + (coder.decode(categorical(of_class), len(those)) if len(of_class) > 1 else 0)
        symbols[places] = decoded
        model.learn(contexts, coded, decoded)
    if not coder.is_empty():
        raise DamagedStream
    return symbols


def _groups(numbers: Array) -> Iterator[tuple[int, Array]]:
    """Yields each number that occurs in `numbers` (n,), from the smallest up, and where it does, in order."""
    order = np.argsort(numbers.astype(np.uint8), kind="stable")
    ends = np.cumsum(np.bincount(numbers)).tolist()
    for number, (start, end) in enumerate(pairwise((0, *ends))):
        if start < end:
            yield number, order[start:end]


@dataclass(frozen=True, eq=False)
class Classes:
    """Symbols of similar value. `values` (alphabet,) has the value of each symbol, 0 for the last one.

    A value v is of the class sign(v) * ceil(|v| / d), where d divides the largest magnitude into at most MOST_CLASSES.
    The classes have the numbers 0 to 2 M from the most negative one up, and the class of the last symbol has 2 M + 1.
    """

    values: Array
    frequencies: Array

    @cached_property
    def most(self) -> int:
        """M, the class of the largest magnitude."""
        return int(np.abs(self._signed).max())

    @cached_property
    def _signed(self) -> Array:
        magnitudes = np.abs(self.values)
        return np.sign(self.values) * -(-magnitudes // -(-magnitudes.max() // MOST_CLASSES))

    @property
    def count(self) -> int:
        return 2 * self.most + 2

    @cached_property
    def of_symbol(self) -> Array:
        """The class of each symbol (alphabet,)."""
        return np.append(self._signed[:-1] + self.most, self.count - 1)

    @cached_property
    def opposite(self) -> Array:
        """The class of the opposite values, for each class (classes,)."""
        return np.append(np.arange(2 * self.most, -1, -1), self.count - 1)

    @cached_property
    def shares(self) -> Array:
        """The mean frequency of each class and the opposite one (classes,)."""
        of_class = np.bincount(self.of_symbol, self.frequencies, minlength=self.count)
        return (of_class + of_class[self.opposite]) / 2

    @cached_property
    def magnitude(self) -> Array:
        """The class of the magnitude of each symbol (alphabet,), from 1 to M; M + 1 for magnitude 0."""
        magnitudes = np.abs(self._signed)
        return np.where(magnitudes > 0, magnitudes, self.most + 1)

    def mirror(self, numbers: Array, mirrored: Array) -> Array:
        """Returns classes (n,) with the opposite class where `mirrored` (n,) is True."""
        return np.where(mirrored, self.opposite[numbers], numbers)

    def members(self, number: int) -> tuple[int, Array]:
        """Returns the first symbol of a class, and the frequencies of all of its symbols, which are neighbours."""
        first, last = self._ends[number], self._ends[number + 1]
        return first, self.frequencies[first:last]

    @cached_property
    def _ends(self) -> list[int]:
        """Where the symbols of each class begin, and where the last ones end."""
        return np.searchsorted(self.of_symbol, np.arange(self.count + 1)).tolist()


class ContextModel:
    """What the weights of the passes so far say about the next ones. An encoder and a decoder use it alike.

    For each of `passes`, `predict` comes first, and then `learn` with what is in that pass.
    """

    def __init__(self, shape: tuple[int, ...], frequencies: Array, zero: int) -> None:
        """`shape` is (C_out, C_in, ...), and `frequencies` (alphabet,) are whole numbers, the last symbol's last.

        Raises ValueError if only symbols of magnitude 0 have a frequency.
        """
        filters, self._channels, self._places = shape[0], prod(shape[1:2]), prod(shape[2:])
        values = np.append(np.arange(len(frequencies) - 1) - zero, 0)
        self._mean = float((frequencies * np.abs(values)).sum() / frequencies.sum())
        if not self._mean:
            raise ValueError("no symbol has a magnitude")
        self.classes = Classes(values, frequencies)
        contexts = (len(LIMITS) + 1) * (len(TENDENCIES) + 1) * (self.classes.most + 1)
        self._occurrences = np.zeros((contexts, self.classes.count))
        self._least = np.full(filters, self.classes.most + 1)
        self._by_filter, self._by_channel, self._by_place = map(_Average, (filters, self._channels, self._places))
        self._by_kernel = _Average(filters * self._channels)
        self._tendency = np.zeros(filters * self._channels)
        self._pass: tuple[Array, ...] = ()

    def passes(self) -> Iterator[Array]:
        """Yields the places (n,) of the flat weight that each pass codes, in order; some passes may be empty."""
        filters, steps = len(self._by_filter.sums), self._places if self._places > 1 else POINTWISE_PASSES
        diagonals = np.add.outer(np.arange(filters), np.arange(self._channels)).ravel()
        if self._places == 1:
            numbers = 2 * (diagonals % steps) + diagonals // steps % 2
            ends = np.cumsum(np.bincount(numbers, minlength=2 * steps))[:-1]
            yield from np.split(np.argsort(numbers, kind="stable"), ends)
            return
        halves = [np.flatnonzero(diagonals // steps % 2 == half) for half in (0, 1)]
        for step in range(steps):
            for kernels in halves:
                yield kernels * steps + (step - diagonals[kernels]) % steps

    def predict(self, places: Array) -> tuple[Array, Array]:
        """Returns the context of each place (n,) of a pass, and whether it is mirrored (n,)."""
        kernels, at = np.divmod(places, self._places) if self._places > 1 else (places, np.zeros_like(places))
        filters, channels = np.divmod(kernels, self._channels)
        self._pass, mean = (filters, channels, at, kernels), self._mean
        expected = self._by_filter.shrunk(mean)[filters] * self._by_channel.shrunk(mean)[channels]
        expected *= self._by_place.shrunk(mean)[at]
        sums, numbers = self._by_kernel.sums[kernels], self._by_kernel.numbers[kernels]
        inside = (2 * sums / mean + expected) / (2 * numbers + 1)
        tendency = self._tendency[kernels] / (mean * (numbers + 1) * expected)
        level = np.searchsorted(TENDENCIES, np.abs(tendency), side="right")
        sizes = np.searchsorted(LIMITS, expected * inside, side="right")
        contexts = (sizes * (len(TENDENCIES) + 1) + level) * (self.classes.most + 1) + self._least[filters] - 1
        return contexts, (level > 0) & (tendency < 0)

    def weights(self) -> Array:
        """Returns weights (contexts, classes) that are proportional to the probabilities of the classes in each."""
        shares = self.classes.shares
        by_alike = self._occurrences.reshape(-1, self.classes.most + 1, self.classes.count)
        expected = by_alike.sum(1, keepdims=True) * shares.sum() + PRIOR * shares
        weights = by_alike * expected.sum(2, keepdims=True) + PRIOR * expected
        return weights.reshape(self._occurrences.shape)

    def learn(self, contexts: Array, coded: Array, symbols: Array) -> None:
        """Takes into account the pass predicted last: the classes that were `coded` (n,), and the `symbols` (n,)."""
        filters, channels, at, kernels = self._pass
        values = self.classes.values[symbols]
        magnitudes = np.abs(values)
        averages = self._by_filter, self._by_channel, self._by_place
        for average, of in zip(averages, (filters, channels, at), strict=True):
            average.add(of, magnitudes)
        self._by_kernel.sums[kernels] += magnitudes  # a pass has at most one weight of a kernel
        self._by_kernel.numbers[kernels] += 1
        self._tendency[kernels] += values
        np.minimum.at(self._least, filters, self.classes.magnitude[symbols])
        both = contexts * self.classes.count + coded
        self._occurrences += np.bincount(both, minlength=self._occurrences.size).reshape(self._occurrences.shape)


class _Average:
    """Sums of magnitudes and how many there are, for each filter, channel, place or kernel."""

    def __init__(self, length: int) -> None:
        self.sums, self.numbers = np.zeros(length), np.zeros(length)

    def add(self, of: Array, magnitudes: Array) -> None:
        self.sums += np.bincount(of, magnitudes, minlength=len(self.sums))
        self.numbers += np.bincount(of, minlength=len(self.sums))

    def shrunk(self, mean: float) -> Array:
        """Returns the averages relative to `mean`, as if four weights of that mean had been seen as well."""
        return (self.sums / mean + 4) / (self.numbers + 4)
