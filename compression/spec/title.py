"""A short title for a spec, for a legend, a row or a sentence. Default settings are left out."""

from compression.spec.compression import CompressionSpec, Order
from compression.spec.prune import Criterion, PruneSpec, Scope, Structure, Unit
from compression.spec.quantize import Clip, Granularity, QuantSpec, Scheme

FLOAT = "float"


def title(spec: CompressionSpec) -> str:
    """Returns a title without the network's name: "4 bits, 50 % sparse", "k-means 3 bits by tensor", "float"."""
    said = []
    if spec.weights:
        said.append(_weights(spec.weights))
    if spec.prune:
        said.append(_prune(spec.prune))
    if spec.layers:
        said.append("1 layer of its own" if len(spec.layers) == 1 else f"{len(spec.layers)} layers of their own")
    if spec.activations:
        said.append(f"{spec.activations.bits}-bit inputs")
    if spec.fold_bn:
        said.append("folded" if spec.order is Order.FOLD_FIRST else "folded last")
    if spec.merge:
        said.append(f"{_percent(spec.merge)} of the filters merged")
    if spec.reestimate_bn:
        said.append("batch norm re-estimated")
    return ", ".join(said) or FLOAT


def _weights(quant: QuantSpec) -> str:
    if quant.scheme is Scheme.STEP:
        words = [f"step {quant.step:g}"]
    elif len(quant.scheme.bits) == 1:
        words = [str(quant.scheme)]
    else:
        words = [f"{quant.bits} bits"] if quant.scheme is Scheme.SYMMETRIC else [f"{quant.scheme} {quant.bits} bits"]
    if quant.granularity is Granularity.GROUP:
        words.append(f"by groups of {quant.group_size}")
    elif quant.granularity is Granularity.TENSOR and quant.scheme is not Scheme.STEP:
        words.append("by tensor")
    if quant.clip is not Clip.FULL:
        words.append(f"clipped by {quant.clip}")
    if quant.only:
        words.append(f"in {quant.only} layers")
    if quant.skip_ends:
        words.append("but the ends")
    return " ".join(words)


def _prune(prune: PruneSpec) -> str:
    if prune.pattern:
        return ":".join(map(str, prune.pattern))
    if prune.threshold is not None:
        words = f"threshold {prune.threshold:g}{'' if prune.unit is Unit.ABSOLUTE else f' {prune.unit}'}"
    elif prune.structure is Structure.FILTER:
        words = f"{_percent(prune.sparsity)} of the filters pruned"
    else:
        words = f"{_percent(prune.sparsity)} sparse"
    by = "" if prune.criterion is Criterion.L1 else f" by {prune.criterion}"
    return f"{words}{by}{' in each layer' if prune.scope is Scope.LAYER else ''}"


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0):g} %"


def full_title(spec: CompressionSpec) -> str:
    """Returns a title with the network's name: "resnet20, 4 bits"."""
    return f"{spec.model}, {title(spec)}"
