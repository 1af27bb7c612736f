"""The forms in which one compressed network can be deployed, each as an ONNX file."""

from dataclasses import dataclass, replace
from enum import StrEnum

from torch import Tensor

from compression.core.compress import compress
from compression.core.record import bit_operations
from compression.core.training_evidence import SAMPLE_IMAGES, evidence_for
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
    """FLOAT: uncompressed. AS_SET: compressed, in float. INT8: with integers as simulated. INT8_CHAIN: with integers
    between layers too. SMALLER: float, its zero filters taken out, equal ones made one.
    """

    FLOAT = "float"
    AS_SET = "as set"
    INT8 = "int8"
    INT8_CHAIN = "int8 chain"
    SMALLER = "smaller"

    @property
    def integers(self) -> bool:
        return self in (VariantKind.INT8, VariantKind.INT8_CHAIN)


@dataclass(frozen=True)
class Variant:
    """`spec` is what it computes, as the laboratory simulates it; batch norm is folded in the file in any case."""

    kind: VariantKind
    spec: CompressionSpec


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """An ONNX file, and what it takes for an image: multiply-accumulates, and these weighed with their bits.

    `sparsity` (0..1): of the weights that it multiplies with. `subnormals`: how many of its numbers are such.
    """

    graph: bytes
    macs: int
    bit_operations: int
    sparsity: float
    subnormals: int


def variants(spec: CompressionSpec) -> tuple[Variant, ...]:
    """What `spec` comes to: beside the float network, itself, in int8, and with filters taken out."""
    as_float = CompressionSpec(spec.model)
    found = [
        Variant(VariantKind.FLOAT, as_float),
        Variant(VariantKind.AS_SET, spec),
        Variant(VariantKind.INT8, int8_spec(spec)),
        Variant(VariantKind.INT8_CHAIN, int8_spec(spec)),
        Variant(VariantKind.SMALLER, smaller_spec(spec)),
    ]
    return tuple(each for each in found if each.kind is not VariantKind.AS_SET or spec != as_float)


def smaller_spec(spec: CompressionSpec) -> CompressionSpec:
    """The filters that `spec` prunes or merges, and nothing else of it; half of those of each layer where it has none
    to take.
    """
    prunes = spec.prune is not None and spec.prune.structure is Structure.FILTER
    if not (prunes or spec.merge):
        return CompressionSpec(spec.model, HALF, fold_bn=spec.folds_first)
    layers = (replace(layer, bits=None) for layer in spec.layers if layer.sparsity is not None)
    return CompressionSpec(
        spec.model,
        spec.prune if prunes else None,
        layers=tuple(layers) if prunes else (),
        fold_bn=spec.folds_first,
        merge=spec.merge,
        reestimate_bn=spec.reestimate_bn,
    )


def int8_spec(spec: CompressionSpec) -> CompressionSpec:
    """The nearest to `spec` that int8 kernels compute: batch norm folded, inputs of 8 bits, and symmetric weights of at
    most 8 bits. Layers that it names as float stay so; those that it skips without their names do not.

    Where `spec` does not fold, folding comes last, so that the same weights go, and symmetric ones of a channel keep
    their integers, unless their range was clipped. Batch norms to be taken anew are refused by `compress`: there are
    none then.
    """
    given, activations = spec.weights, spec.activations
    weights = QuantSpec(BITS)
    if given and given.scheme is Scheme.SYMMETRIC:
        coarse = Granularity.CHANNEL if given.granularity is Granularity.GROUP else given.granularity
        bits = min(given.bits, BITS)
        weights = replace(given, bits=bits, granularity=coarse, group_size=None, only=None, skip_ends=False)
    layers = (
        replace(layer, bits=min(layer.bits, BITS)) if layer.bits not in (None, FLOAT_BITS) else layer
        for layer in spec.layers
    )
    return CompressionSpec(
        spec.model,
        spec.prune,
        weights,
        tuple(layers),
        fold_bn=True,
        activations=replace(activations, bits=BITS) if activations else ActivationSpec(BITS),
        order=spec.order if spec.fold_bn else Order.QUANTIZE_FIRST,
        merge=spec.merge,
        reestimate_bn=spec.reestimate_bn,
    )


def build(model: FloatModel, variant: Variant) -> OnnxFile:
    """The file of `variant`, in seconds, in a process where nobody else computes; see `export`.

    Raises ValueError where there is no such file, DataError where images for it are missing.
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
        raise DataMissing(f"what is added up between layers has to be seen on training images, and {error}") from error
