"""The values that each weight of a layer may take, column by column, from the layer's own quantizer."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from compression.quantization.codebooks import Codebook
from compression.quantization.quantizers import QParams
from compression.reconstruction.rows import as_rows


@dataclass(frozen=True, eq=False)
class EvenGrid:
    """Evenly spaced values (code - zero) * scale; scale and zero are (G, r, m) with m parts of `size` columns each."""

    scale: Tensor
    zero: Tensor
    low: int
    high: int
    size: int

    def nearest(self, values: Tensor, columns: Tensor) -> Tensor:
        """values (G, r) of the weights in `columns` (G,) -> the nearest values of the grid. Rounds half to even."""
        scale, zero = (_part(each, columns, self.size) for each in (self.scale, self.zero))
        return ((values / scale + zero).round_().clamp_(self.low, self.high) - zero) * scale

    def cheapest(self, values: Tensor, columns: Tensor, prices: Tensor) -> Tensor:
        """values (G, r) of the weights in `columns` (G,) -> the values v with the least (value - v)^2 + price.

        `prices` (G, r, codes) are those of all codes. The three nearest codes and zero are compared.
        """
        scale, zero = (_part(each, columns, self.size) for each in (self.scale, self.zero))
        code = values / scale + zero
        inward = torch.where(code > zero, -1.0, 1.0)
        nearest = code.round()
        codes = torch.stack([nearest, nearest + inward, nearest - inward, zero], 2).clamp_(self.low, self.high)
        choices = (codes - zero[:, :, None]) * scale[:, :, None]
        cost = (values[:, :, None] - choices).square() + prices.gather(2, (codes - self.low).long())
        return choices.gather(2, cost.argmin(2, keepdim=True))[:, :, 0]

    def codes(self, rows: Tensor) -> Tensor:
        """rows (G, r, d) of values of the grid -> their codes, counted from `low`, int64."""
        scale, zero = (_by_column(each, self.size, rows.shape[2]) for each in (self.scale, self.zero))
        return (rows / scale + zero).round().long() - self.low

    def neighbours(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """rows (G, r, d) -> the values below and above each weight, equal for weights beyond the ends."""
        scale, zero = (_by_column(each, self.size, rows.shape[2]) for each in (self.scale, self.zero))
        below = (rows / scale + zero).floor()
        low, high = (code.clamp(self.low, self.high) for code in (below, below + 1))
        return (low - zero) * scale, (high - zero) * scale


@dataclass(frozen=True, eq=False)
class BookGrid:
    """Values (G, r, m, K) of codebooks and the bounds (G, r, m, K - 1) between them, m parts of `size` columns each."""

    values: Tensor
    bounds: Tensor
    size: int

    def nearest(self, values: Tensor, columns: Tensor) -> Tensor:
        """values (G, r) of the weights in `columns` (G,) -> the nearest values of their codebooks."""
        bounds, book = (_part(each, columns, self.size) for each in (self.bounds, self.values))
        codes = torch.searchsorted(bounds.contiguous(), values[:, :, None].contiguous())
        return book.gather(2, codes)[:, :, 0]

    def neighbours(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """rows (G, r, d) -> the values below and above each weight, equal for weights beyond the ends."""
        groups, channels, columns = rows.shape
        parts = self.values.shape[2]
        last = self.values.shape[3] - 1
        padded = F.pad(rows, (0, parts * self.size - columns)).view(groups, channels, parts, self.size)
        above = torch.searchsorted(self.values.contiguous(), padded.contiguous())
        ends = [self.values.gather(3, code.clamp(0, last)) for code in (above - 1, above)]
        below, beyond = (end.flatten(2)[:, :, :columns] for end in ends)
        return below, beyond


Grid = EvenGrid | BookGrid


def _part(numbers: Tensor, columns: Tensor, size: int) -> Tensor:
    """numbers (G, r, m, ...), columns (G,) -> those of the part that each column belongs to, (G, r, ...)."""
    if numbers.shape[2] == 1:
        return numbers[:, :, 0]
    return numbers[torch.arange(len(numbers)), :, columns // size]


def _by_column(numbers: Tensor, size: int, columns: int) -> Tensor:
    """numbers (G, r, m) of parts -> (G, r, d) of their columns, or (G, r, 1) if there is one part."""
    return numbers if numbers.shape[2] == 1 else numbers.repeat_interleave(size, 2)[:, :, :columns]


def grid_of(qparams: QParams | Codebook, weight: Tensor, groups: int) -> Grid:
    """Returns the values that `qparams` allows for the rows of `weight` (C_out, ...), in float64.

    Codes and values are those of the quantizer: what is chosen from the grid quantizes to itself.
    """
    channels = len(weight)
    columns = weight[0].numel()
    size = qparams.group_size or columns

    def spread(numbers: Tensor) -> Tensor:
        """(), (C_out, 1, ...), (C_out * m, 1) or, of codebooks, (1 | C_out | C_out * m, K) -> (G, r, m, K)."""
        table = numbers.double().reshape(1 if numbers.dim() == 0 else len(numbers), -1)
        parts = -(-columns // size)
        table = table.expand(channels, -1)[:, None] if len(table) == 1 else table.view(channels, parts, -1)
        return as_rows(table, groups).view(groups, channels // groups, table.shape[1], table.shape[2])

    if isinstance(qparams, Codebook):
        return BookGrid(spread(qparams.values), spread(qparams.bounds), size)
    return EvenGrid(spread(qparams.scale)[..., 0], spread(qparams.zero_point)[..., 0], qparams.low, qparams.high, size)
