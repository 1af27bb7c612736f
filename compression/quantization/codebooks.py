"""Quantizers whose values are no evenly spaced grid: a codebook for each group of weights, found from the weights.

A weight that is exactly zero has no say in it: it has been pruned, or it might as well have been.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from compression.quantization.kmeans import centres
from compression.quantization.ranges import masked_mean
from compression.spec import Scheme

SMALLEST_NORMAL = torch.finfo(torch.float32).tiny

MOST_EXPONENTS = 127  # below the largest one float32 has no more


@dataclass(frozen=True, eq=False)
class Codebook:
    """Code k stands for `values[g, k]` (groups, K), ascending, in group g: a row of weights.

    A weight has the code k if k of the `bounds` (groups, K - 1) lie below it. `stored`: how many float32 numbers of a
    group a file must hold to know its values. `group_size`: of groups smaller than channels, the G of a channel in
    a row.
    """

    values: Tensor
    bounds: Tensor
    stored_values: int
    group_size: int | None = None

    @property
    def codes(self) -> int:
        """How many values there are in a group."""
        return self.values.shape[1]

    @property
    def zero_is_exact(self) -> bool:
        return bool((self.values == 0).any(1).all())

    def quantize(self, weight: Tensor) -> Tensor:
        """weight (C_out, ...) -> int32 codes of the same shape."""
        codes = torch.searchsorted(self.bounds, weight.reshape(len(self.bounds), -1).contiguous(), out_int32=True)
        return torch.empty_like(weight, dtype=torch.int32).copy_(codes.view(weight.shape))

    def dequantize(self, codes: Tensor) -> Tensor:
        """codes (C_out, ...) -> float32 weights of the same shape."""
        values = self.values.gather(1, codes.reshape(len(self.values), -1).long())
        return torch.empty_like(codes, dtype=self.values.dtype).copy_(values.view(codes.shape))


def power_of_two(rows: Tensor, bits: int) -> Codebook:
    r"""Zero and the powers of two from the largest weight's downwards: hardware shifts instead of multiplying.

    Formula: \hat w = \mathrm{sign}(w)\, 2^{e}, \quad e = \mathrm{round}(\log_2 \lvert w \rvert), \quad
        e_{\max} - (2^{b-1} - 2) \le e \le e_{\max}
    Source: Miyashita et al. 2016 (arXiv:1603.01025), section 3.
    Fails: where it matters: of large weights, which steer most, it keeps the least, and bits beyond five add only
        values near zero.

    rows (groups, n) -> values (groups, 2^b - 1).
    """
    top = rows.abs().amax(1, keepdim=True).clamp(min=SMALLEST_NORMAL).log2().round().clamp(max=127)
    exponents = top - torch.arange(min(2 ** (bits - 1) - 1, MOST_EXPONENTS))
    steps, edges = exponents.exp2(), (exponents - 0.5).exp2()
    steps = torch.where(rows.abs().amax(1, keepdim=True) < SMALLEST_NORMAL, 0.0, _flushed(steps))
    zero = torch.zeros_like(top)
    return Codebook(torch.cat([-steps, zero, steps.flip(1)], 1), _both_sides(edges.flip(1)), stored_values=1)


def ternary(rows: Tensor, bits: int) -> Codebook:
    r"""Three values: zero for what is small, and plus and minus the mean magnitude of the rest. No product is left.

    Formula: \hat w \in \{-a, 0, a\}, \quad \hat w = 0 \text{ for } \lvert w \rvert \le 0.7\,\overline{\lvert w \rvert},
        \quad a = \text{mean } \lvert w \rvert \text{ of the others}
    Source: Ternary weight networks, Li and Liu 2016 (arXiv:1605.04711), section 2.2.
    Fails: without training: a network must learn to live with three values.

    rows (groups, n) -> values (groups, 3).
    """
    magnitude = rows.abs()
    threshold = 0.7 * masked_mean(magnitude, magnitude > 0)
    a = _flushed(masked_mean(magnitude, magnitude > threshold))
    return Codebook(torch.cat([-a, torch.zeros_like(a), a], 1), _both_sides(threshold), stored_values=1)


def binary(rows: Tensor, bits: int) -> Codebook:
    r"""The sign of each weight, times the mean magnitude, which is the best scale for signs alone: one bit a weight.

    Formula: \hat w = \mathrm{sign}(w)\,\overline{\lvert w \rvert}
    Source: Rastegari et al. 2016 (arXiv:1603.05279), section 3.1.
    Fails: without training; and where weights are pruned, for no code stands for zero, and they need a mask.

    rows (groups, n) -> values (groups, 2).
    """
    magnitude = rows.abs()
    a = _flushed(masked_mean(magnitude, magnitude > 0))
    return Codebook(torch.cat([-a, a], 1), torch.zeros_like(a), stored_values=1)


def k_means(rows: Tensor, bits: int) -> Codebook:
    r"""Values that are the means of the weights nearest to them: a codebook shaped by the weights themselves.

    Formula: \min_{c_1, \ldots, c_{2^b}} \sum_i \min_k (w_i - c_k)^2
    Source: Deep Compression's weight sharing, Han et al. 2015 (arXiv:1510.00149), section 3.
    Fails: to be fast where it is used: each product needs a look into the codebook.

    The best values there are for short rows; for long ones, values that no search near them betters (`clusters`).
    rows (groups, n) -> values (groups, 2^b).
    """
    found = _flushed(torch.from_numpy(centres(rows.numpy(), 2**bits)).float())
    return Codebook(found, (found[:, 1:] + found[:, :-1]) / 2, stored_values=2**bits)


CODEBOOKS: dict[Scheme, Callable[[Tensor, int], Codebook]] = {
    Scheme.POWER_OF_TWO: power_of_two,
    Scheme.K_MEANS: k_means,
    Scheme.TERNARY: ternary,
    Scheme.BINARY: binary,
}


def _flushed(values: Tensor) -> Tensor:
    """Subnormal values become zero: a processor takes ten times as long over them."""
    return torch.where(values.abs() < SMALLEST_NORMAL, 0.0, values)


def _both_sides(edges: Tensor) -> Tensor:
    """Positive bounds (groups, m) ascending -> those of both signs (groups, 2m). On a bound a weight falls inwards."""
    return torch.cat([torch.nextafter(-edges.flip(1), torch.tensor(-torch.inf)), edges], 1)
