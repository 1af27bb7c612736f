"""Histograms of weights. They are binned here, so that a page receives hundreds of numbers and not millions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from compression.core.record import CompressedModel, LayerRecord
from compression.networks.weights import weighted_layers
from compression.quantization.quantizers import levels
from compression.spec import CompressionSpec, Criterion, Order, PruneSpec, Scope, Structure, Unit

MOST_LEVELS = 64


@dataclass(frozen=True)
class Histogram:
    """A histogram: `edges` are bins + 1 values, `counts` the weights per bin. The last bin includes both its edges."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class WeightView:
    """The weights of one layer or of the whole network, before and after compression.

    `after` counts the nonzero weights, `zeros` the others. `levels` are all values that the quantizers can give; empty
    if there are none or more than 64. `threshold` is the smallest magnitude that survived pruning. It is None if
    nothing was pruned, if it differs between layers, if batch norm was folded after pruning, or if the score is not the
    magnitude of a single weight.
    """

    before: Histogram
    after: Histogram
    zeros: int
    weights: int
    levels: tuple[float, ...]
    threshold: float | None


def build_histogram(weights: Sequence[Tensor], bins: int, low: float, high: float) -> Histogram:
    """Counts all `weights`, of any shapes, in `bins` equal bins from `low` to `high`; others are not counted."""
    counts = torch.stack([torch.histc(weight.detach(), bins, low, high) for weight in weights]).sum(
        0, dtype=torch.int64
    )
    edges = torch.linspace(low, high, bins + 1)
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))


def build_weight_view(compressed: CompressedModel, layer: str | None = None, bins: int = 121) -> WeightView:
    """Returns histograms of the weights before and after compression, with the same `bins` bins.

    `bins` is odd, so that one bin is centred on zero.
    """
    records = [record for record in compressed.layers if layer in (None, record.name)]
    both = [weight for record in records for weight in (record.original.detach(), record.weight)]
    reach = max(abs(float(end)) for weight in both for end in weight.aminmax()) or 1.0
    zeros = sum(record.weights - record.nonzero for record in records)
    after = build_histogram([record.weight for record in records], bins, -reach, reach)
    return WeightView(
        before=build_histogram([record.original for record in records], bins, -reach, reach),
        after=replace(after, counts=_subtract(after.counts, bins // 2, zeros)),
        zeros=zeros,
        weights=sum(record.weights for record in records),
        levels=_levels(records),
        threshold=_threshold(compressed.spec, records),
    )


def _subtract(counts: tuple[int, ...], place: int, by: int) -> tuple[int, ...]:
    return (*counts[:place], counts[place] - by, *counts[place + 1 :])


def find_largest_threshold(model: nn.Module) -> float:
    """Returns the magnitude below which 99 % of the weights are. A larger threshold would prune almost all weights."""
    weights = [weight.detach().flatten() for weight in weighted_layers(model).values()]
    return float(torch.cat(weights).abs().quantile(0.99))


def _levels(records: Sequence[LayerRecord]) -> tuple[float, ...]:
    quantizers = [record.qparams for record in records if record.qparams]
    if len(quantizers) < len(records) or any(qparams.codes > MOST_LEVELS for qparams in quantizers):
        return ()
    values = torch.empty(0)
    for qparams in quantizers:
        values = torch.cat([values, levels(qparams)]).unique()
        if len(values) > MOST_LEVELS:
            return ()
    return tuple(values.tolist())


def _threshold(spec: CompressionSpec, records: Sequence[LayerRecord]) -> float | None:
    prune = spec.prune or PruneSpec(sparsity=0)
    if (prune.criterion, prune.structure, spec.order) != (Criterion.L1, Structure.WEIGHT, Order.FOLD_FIRST):
        return None
    one_for_all = prune.scope is Scope.GLOBAL and prune.unit is Unit.ABSOLUTE
    alike = len(records) == 1 or (one_for_all and all(own.sparsity is None for own in spec.layers))
    if not any(record.pruned for record in records) or not alike:
        return None
    smallest = min(record.threshold for record in records)
    return smallest if math.isfinite(smallest) else None
