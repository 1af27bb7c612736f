"""The variants in which one compressed network can be deployed, each as an ONNX file."""

from dataclasses import dataclass, replace
from enum import StrEnum

from torch import Tensor

from compression.core.compress import compress
from compression.core.record import bit_operations
from compression.core.training_evidence import evidence_for
from compression.data.cifar10 import TRAIN
from compression.data.images import load
from compression.deploy.float_onnx import to_onnx
from compression.deploy.int8_onnx import BITS, to_int8
from compression.deploy.runtime import count_subnormals
from compression.errors import DataMissing
from compression.networks.macs import layer_macs
from compression.networks.model import FloatModel
from compression.pruning.deduplication import merge_duplicates
from compression.pruning.removal import remove_zeroed
from compression.spec import (
    FLOAT_BITS,
    SAMPLE_IMAGES,
    ActivationSpec,
    CompressionSpec,
    Granularity,
    Order,
    PruneSpec,
    QuantSpec,
    Scheme,
    Scope,
    Structure,
)

HALF = PruneSpec(sparsity=0.5, structure=Structure.FILTER, scope=Scope.LAYER)


class VariantKind(StrEnum):
    """The kinds of variants: how the network computes.

    FLOAT: not compressed. COMPRESSED: compressed, computed in float. INT8: with the integers of the simulation.
    INT8_CHAIN: with integers between layers too. SMALLER: in float, with zero filters removed and equal filters merged.
    """

    FLOAT = "float"
    COMPRESSED = "compressed"
    INT8 = "int8"
    INT8_CHAIN = "int8 chain"
    SMALLER = "smaller"

    @property
    def integers(self) -> bool:
        """Whether layers compute in 8-bit integers."""
        return self in (VariantKind.INT8, VariantKind.INT8_CHAIN)


@dataclass(frozen=True)
class Variant:
    """A kind of file, and the spec that simulates it. In the file, batch norm is always folded."""

    kind: VariantKind
    spec: CompressionSpec


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """An ONNX file, and what it costs for one image: multiply-accumulates and bit operations.

    `sparsity` (0..1) is the share of its weights that are zero; `subnormals` is the number of subnormal constants.
    """

    graph: bytes
    macs: int
    bit_operations: int
    sparsity: float
    subnormals: int


def variants(spec: CompressionSpec, fewer_filters: bool = False) -> tuple[Variant, ...]:
    """Returns the variants of `spec`: the float network, `spec` in float and in int8, and without pruned filters.

    The last one is there if `spec` prunes or merges filters; with `fewer_filters` it is also there if it does not, and
    then has half of the filters of each layer.
    """
    as_float = CompressionSpec(spec.model)
    candidates = [Variant(VariantKind.FLOAT, as_float)]
    if spec != as_float:
        candidates.append(Variant(VariantKind.COMPRESSED, spec))
    candidates.append(Variant(VariantKind.INT8, int8_spec(spec)))
    candidates.append(Variant(VariantKind.INT8_CHAIN, int8_spec(spec)))
    if fewer_filters or removes_filters(spec):
        candidates.append(Variant(VariantKind.SMALLER, smaller_spec(spec)))
    return tuple(candidates)


def removes_filters(spec: CompressionSpec) -> bool:
    """Returns whether `spec` prunes or merges whole filters, which can then be removed from the network."""
    return bool(spec.merge) or (spec.prune is not None and spec.prune.structure is Structure.FILTER)


def smaller_spec(spec: CompressionSpec) -> CompressionSpec:
    """Returns a spec that only prunes or merges the filters that `spec` does.

    If `spec` prunes and merges no filters, the result prunes half of the filters of each layer.
    """
    if not removes_filters(spec):
        return CompressionSpec(spec.model, HALF, fold_bn=spec.folds_first)
    prunes = spec.prune is not None and spec.prune.structure is Structure.FILTER
    layers = (replace(layer, bits=None) for layer in spec.layers if layer.sparsity is not None)
    return CompressionSpec(
        spec.model,
        spec.prune if prunes else None,
        layers=tuple(layers) if prunes else (),
        fold_bn=spec.folds_first,
        merge=spec.merge,
        reestimate_bn=spec.reestimate_bn,
        reconstruct=spec.reconstruct,
        repair_activations=spec.repair_activations,
        correct_bias=spec.correct_bias,
        equalize=spec.equalize,
    )


def int8_spec(spec: CompressionSpec) -> CompressionSpec:
    """Returns the spec closest to `spec` that int8 kernels can compute.

    It folds batch norm, and has inputs of 8 bits and symmetric weights of at most 8 bits. Layers that `spec` names as
    float stay float; layers that it skips without naming them do not.

    If `spec` does not fold batch norm, it is folded last, or first if `spec` recovers accuracy from images. If it is
    last, the same weights are pruned, and symmetric weights with a scale per channel keep their codes, unless their
    range was clipped. If `spec` re-estimates batch norm, `compress`
    refuses the result, because no batch norm is left to re-estimate.
    """
    own, activations = spec.weights, spec.activations
    weights = QuantSpec(BITS)
    if own and own.scheme is Scheme.SYMMETRIC:
        coarse = Granularity.CHANNEL if own.granularity is Granularity.GROUP else own.granularity
        bits = min(own.bits, BITS)
        weights = replace(own, bits=bits, granularity=coarse, group_size=None, only=None, skip_ends=False)
    layers = (
        replace(layer, bits=min(layer.bits, BITS)) if layer.bits not in (None, FLOAT_BITS) else layer
        for layer in spec.layers
    )
    fold_last = not spec.fold_bn and not spec.recovers
    return replace(
        spec,
        weights=weights,
        layers=tuple(layers),
        fold_bn=True,
        activations=replace(activations, bits=BITS) if activations else ActivationSpec(BITS),
        order=Order.QUANTIZE_FIRST if fold_last else spec.order,
        also=(),
    )


def build(model: FloatModel, variant: Variant) -> OnnxFile:
    """Builds the file of `variant`; takes seconds, in a process that computes nothing else (see `float_onnx`).

    Raises ValueError if the network cannot be exported like this, DataError if the images that it needs are missing.
    """
    compressed = compress(model.module, variant.spec, evidence_for(model, variant.spec))
    if variant.kind is VariantKind.SMALLER:
        module = compressed.module
        if variant.spec.merge:
            module = merge_duplicates(module, model.example).module
        smaller = remove_zeroed(module, model.example)
        graph = to_onnx(smaller.module, model.normalization, model.input_shape)
        return OnnxFile(graph, smaller.after.macs, smaller.after.macs * FLOAT_BITS**2, 0.0, count_subnormals(graph))
    if variant.kind.integers:
        sample = _sample() if variant.kind is VariantKind.INT8_CHAIN else None
        graph = to_int8(compressed, model.normalization, sample, model.input_shape)
    else:
        graph = to_onnx(compressed.module, model.normalization, model.input_shape)
    macs = layer_macs(model.module, model.example)
    operations = bit_operations(compressed, macs)
    return OnnxFile(graph, sum(macs.values()), operations, compressed.sparsity, count_subnormals(graph))


def _sample() -> Tensor:
    try:
        return load(TRAIN)[:SAMPLE_IMAGES].pixels
    except DataMissing as error:
        raise DataMissing(f"ranges between layers have to be measured on training images, and {error}") from error
