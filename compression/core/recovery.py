"""Gives accuracy back without training: sets the weights of a compressed network again, layer by layer, from images."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor, nn

from compression.core.evidence import Evidence
from compression.core.pruning_plan import zero_pruned_filters_
from compression.core.record import LayerRecord, sqnr_db
from compression.pruning.masks import LayerMask
from compression.quantization.quantizers import code_bits
from compression.reconstruction.reconstruct import reconstruct
from compression.reconstruction.solve import LayerPlan, LayerSolution, Steps
from compression.spec import CompressionSpec, QuantSpec, Rounding

Vectors = dict[str, Tensor]

Report = Callable[[int, int], None]


def no_report(layers: int, total: int) -> None:
    """Ignores how many `layers` of `total` are done."""


def recover(
    original: nn.Module,
    layers: list[LayerRecord],
    masks: Mapping[str, LayerMask],
    quants: Mapping[str, QuantSpec | None],
    spec: CompressionSpec,
    evidence: Evidence,
    report: Report,
) -> tuple[list[LayerRecord], Vectors]:
    """Returns `layers` with the steps of `spec` applied, and the biases and batch norm that changed, by name.

    `layers` are those of `original` pruned by `masks` and rounded to nearest, with the quantizers of their inputs. A
    layer that the images do not reach, or that is neither a convolution nor linear, stays as it is. Raises ValueError
    without images.
    """
    if evidence.sample is None:
        raise ValueError(
            "rounding other than nearest, moving survivors, repairing activations and correcting biases need training "
            "images, and none are available"
        )
    plans = {layer.name: _plan(masks.get(layer.name), quants[layer.name]) for layer in layers}
    filters = {layer.name: layer.filters for layer in layers if layer.filters is not None}
    start = original
    if filters:
        start = copy.deepcopy(original)
        zero_pruned_filters_(start, filters)
    quantized = sum(layer.weights for layer in layers if quants[layer.name])
    steps = Steps(
        spec.rounding,
        survivors=spec.reconstruct,
        spread=spec.repair_activations,
        mean=spec.correct_bias or spec.repair_activations,
        bit_error=spec.rate_penalty / quantized if quantized else 0.0,
    )
    inputs = {layer.name: layer.inputs for layer in layers if layer.inputs}
    solutions: dict[str, LayerSolution] = {}
    report(0, len(plans))
    for solution in reconstruct(original, start, plans, steps, evidence.sample.inputs, inputs):
        solutions[solution.name] = solution
        report(len(solutions), len(plans))
    vectors = {name: vector for solution in solutions.values() for name, vector in solution.vectors.items()}
    return [_recovered(layer, solutions.get(layer.name), spec.rounding) for layer in layers], vectors


def _plan(pruning: LayerMask | None, quant: QuantSpec | None) -> LayerPlan:
    return LayerPlan(pruning.mask, quant, pruning.filters) if pruning else LayerPlan(None, quant)


def _recovered(layer: LayerRecord, solution: LayerSolution | None, rounding: Rounding) -> LayerRecord:
    if solution is None:
        return layer
    return replace(
        layer,
        weight=solution.weight,
        qparams=solution.qparams,
        bits=code_bits(solution.qparams) if rounding is Rounding.RATE_AWARE and solution.qparams else layer.bits,
        nonzero=int(np.count_nonzero(solution.weight.numpy())),
        sqnr_db=sqnr_db(layer.original.detach(), solution.weight),
    )
