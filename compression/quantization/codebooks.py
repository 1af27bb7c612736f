"""Quantizers with a codebook: the values of each group are chosen from its weights instead of being evenly spaced.

Weights that are exactly zero do not influence the values: they have been pruned, or quantize to zero anyway.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from compression.quantization.kmeans import centres
from compression.quantization.ranges import masked_mean
from compression.spec import Scheme

SMALLEST_NORMAL = torch.finfo(torch.float32).tiny

MOST_EXPONENTS = 127  # float32 has no more exponents below its largest one


@dataclass(frozen=True, eq=False)
class Codebook:
    """A quantizer in which code k of group g stands for `values[g, k]`; `values` is (groups, K), ascending in each row.

    A weight gets the code k if k of the `bounds` (groups, K - 1) of its group lie below it. `stored_values`: how many
    float32 numbers per group a file must hold to restore its values. `group_size`: the number of consecutive weights
    of a channel in a group, or None if a group is a channel or the tensor.
    """

    values: Tensor
    bounds: Tensor
    stored_values: int
    group_size: int | None = None

    @property
    def codes(self) -> int:
        """The number of values in each group."""
        return self.values.shape[1]

    @property
    def zero_is_exact(self) -> bool:
        """Whether each group has a code that stands for exactly 0."""
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
    r"""The values are zero and plus and minus powers of two, from the power nearest to the largest weight downwards.
    Hardware can then replace each multiplication by a bit shift.

    Formula: \hat w = \mathrm{sign}(w)\, 2^{e}, \quad e = \mathrm{round}(\log_2 \lvert w \rvert), \quad
        e_{\max} - (2^{b-1} - 2) \le e \le e_{\max}
    Source: Miyashita et al. 2016 (arXiv:1603.01025), section 3.
    Fails: for large weights, which matter most: neighbouring values are furthest apart there. More than about five bits
        add values near zero only.

    rows (groups, n) -> values (groups, 2^b - 1).
    """
    top = rows.abs().amax(1, keepdim=True).clamp(min=SMALLEST_NORMAL).log2().round().clamp(max=127)
    exponents = top - torch.arange(min(2 ** (bits - 1) - 1, MOST_EXPONENTS))
    steps, edges = exponents.exp2(), (exponents - 0.5).exp2()
    steps = torch.where(rows.abs().amax(1, keepdim=True) < SMALLEST_NORMAL, 0.0, _flush_subnormals(steps))
    zero = torch.zeros_like(top)
    return Codebook(torch.cat([-steps, zero, steps.flip(1)], 1), _mirror(edges.flip(1)), stored_values=1)


def ternary(rows: Tensor, bits: int) -> Codebook:
    r"""Each group has three values: zero for small weights, and plus and minus the mean magnitude of the others. No
    multiplications by individual weights are left.

    Formula: \hat w \in \{-a, 0, a\}, \quad \hat w = 0 \text{ for } \lvert w \rvert \le 0.7\,\overline{\lvert w \rvert},
        \quad a = \text{mean } \lvert w \rvert \text{ of the others}
    Source: Ternary weight networks, Li and Liu 2016 (arXiv:1605.04711), section 2.2.
    Fails: without training: accuracy is low unless the network is trained with these three values.

    rows (groups, n) -> values (groups, 3).
    """
    magnitude = rows.abs()
    threshold = 0.7 * masked_mean(magnitude, magnitude > 0)
    a = _flush_subnormals(masked_mean(magnitude, magnitude > threshold))
    return Codebook(torch.cat([-a, torch.zeros_like(a), a], 1), _mirror(threshold), stored_values=1)


def binary(rows: Tensor, bits: int) -> Codebook:
    r"""Each weight becomes its sign times the mean magnitude of its group, which is the scale with the least squared
    error for signs. A weight takes one bit.

    Formula: \hat w = \mathrm{sign}(w)\,\overline{\lvert w \rvert}
    Source: Rastegari et al. 2016 (arXiv:1603.05279), section 3.1.
    Fails: without training, and for pruned weights: no code stands for zero, so a mask must be stored.

    rows (groups, n) -> values (groups, 2).
    """
    magnitude = rows.abs()
    a = _flush_subnormals(masked_mean(magnitude, magnitude > 0))
    return Codebook(torch.cat([-a, a], 1), torch.zeros_like(a), stored_values=1)


def k_means(rows: Tensor, bits: int) -> Codebook:
    r"""Each group gets a codebook of 2^b values that minimizes the squared error: each value is the mean of the weights
    nearest to it.

    Formula: \min_{c_1, \ldots, c_{2^b}} \sum_i \min_k (w_i - c_k)^2
    Source: Deep Compression's weight sharing, Han et al. 2015 (arXiv:1510.00149), section 3.
    Fails: to make the network faster: each weight must be looked up in the codebook before it is multiplied.

    The values are optimal for short rows, and a local optimum for long ones (`kmeans`).
    rows (groups, n) -> values (groups, 2^b).
    """
    values = _flush_subnormals(torch.from_numpy(centres(rows.numpy(), 2**bits)).float())
    return Codebook(values, (values[:, 1:] + values[:, :-1]) / 2, stored_values=2**bits)


CODEBOOKS: dict[Scheme, Callable[[Tensor, int], Codebook]] = {
    Scheme.POWER_OF_TWO: power_of_two,
    Scheme.K_MEANS: k_means,
    Scheme.TERNARY: ternary,
    Scheme.BINARY: binary,
}


def _flush_subnormals(values: Tensor) -> Tensor:
    """Returns `values` with zeros for subnormal numbers: processors compute ten times as slowly with those."""
    return torch.where(values.abs() < SMALLEST_NORMAL, 0.0, values)


def _mirror(edges: Tensor) -> Tensor:
    """Positive bounds (groups, m), ascending -> bounds of both signs (groups, 2m).

    A weight that equals a bound gets the value nearer to zero.
    """
    return torch.cat([torch.nextafter(-edges.flip(1), torch.tensor(-torch.inf)), edges], 1)
