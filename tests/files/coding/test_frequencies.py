"""The model of an entropy coder: the best of all pairs of precision and run, beside a search that tries one by one."""

import numpy as np
import pytest

from compression.files.coding.bits import Array, to_varints
from compression.files.coding.frequencies import PRECISIONS, RUNS, choose_frequencies, symbol_frequencies


def run_frequencies(counts: Array, run: int, precision: int) -> Array:
    """The frequencies of one model: the mean count of each run and the last count, scaled to a sum of 2^precision."""
    means = [np.mean(counts[start : min(start + run, len(counts) - 1)]) for start in range(0, len(counts) - 1, run)]
    shares = np.array([*means, counts[-1]])
    return np.maximum(np.rint(shares / counts.sum() * 2**precision), shares > 0).astype(np.int64)


def cost(counts: Array, run: int, frequencies: Array) -> float:
    """The bytes of a model and of the symbols that it codes."""
    by_symbol = symbol_frequencies(frequencies, run, len(counts))
    positive = counts > 0
    bits = counts[positive] * np.log2(by_symbol.sum() / by_symbol[positive])
    return 1 + len(to_varints(frequencies)) + bits.sum() / 8


@pytest.mark.parametrize("symbols", [2, 3, 4, 5, 8, 16, 34, 256, 1000])
def test_the_model_is_the_first_of_the_cheapest(symbols: int) -> None:
    rng = np.random.default_rng(symbols)
    for density in (0.02, 0.3, 1.0):
        for total in (3, 300, 1_000_000):
            shape = np.exp(-(((np.arange(symbols) - symbols / 2) / (symbols / 5)) ** 2)) * (
                rng.random(symbols) < density
            )
            counts = rng.multinomial(total, (shape + 1e-12) / (shape + 1e-12).sum())
            models = [(run, run_frequencies(counts, run, precision)) for run in RUNS for precision in PRECISIONS]
            expected = min(models, key=lambda model: cost(counts, *model))
            run, frequencies = choose_frequencies(counts)
            assert (run, frequencies.tolist()) == (expected[0], expected[1].tolist())


def test_symbols_of_a_run_share_a_frequency_and_the_last_one_has_its_own() -> None:
    assert symbol_frequencies(np.array([5, 3, 9]), 2, 4).tolist() == [5, 5, 3, 9]
