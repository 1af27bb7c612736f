"""A short title for a spec, for a legend, a row or a sentence. Default settings are left out."""

from collections.abc import Mapping, Sequence

from compression.spec.checks import FLOAT_BITS
from compression.spec.compression import SAMPLE_IMAGES, CompressionSpec, LayerSpec, Order
from compression.spec.prune import Criterion, PruneSpec, Scope, Structure, Unit
from compression.spec.quantize import Clip, Granularity, QuantSpec, Scheme
from compression.spec.rounding import RATE_PENALTY, Rounding
from compression.spec.vectors import VectorFormat

FLOAT = "float"

MOST_NAMES = 2  # of layers in float, so that the title stays short

RECOVERY = {
    "reconstruct": "survivors moved",
    "repair_activations": "activations repaired",
    "correct_bias": "bias corrected",
    "equalize": "channels equalized",
}


def title(spec: CompressionSpec) -> str:
    """Returns a title without the network's name: "4 bits, 50 % sparse", "k-means 3 bits per tensor", "float"."""
    parts = []
    if spec.weights:
        parts += _weights(spec.weights)
        if spec.rounding is Rounding.RATE_AWARE:
            parts[0] = f"up to {parts[0]}"
    if spec.prune:
        parts += _prune(spec.prune)
    parts += _layers(spec.layers)
    if spec.activations:
        parts.append(f"{spec.activations.bits}-bit activations")
    if spec.fold_bn:
        parts.append("batch norm folded" if spec.order is Order.FOLD_FIRST else "batch norm folded last")
    if spec.merge:
        parts.append(f"{_percent(spec.merge)} of filters merged")
    parts += recovery_steps(spec)
    if spec.reestimate_bn:
        parts.append("batch norm re-estimated")
    if spec.sample_images != SAMPLE_IMAGES:
        parts.append(f"from {spec.sample_images:,} training images")
    if spec.vector_format is not VectorFormat.FLOAT32:
        parts.append(f"biases and batch norm as {spec.vector_format}")
    return ", ".join(parts) or FLOAT


def recovery_steps(spec: CompressionSpec, words: Mapping[str, str] = RECOVERY) -> list[str]:
    """Returns the steps that give accuracy back and take effect, in order; `words` says a step by its field."""
    rounding = [] if spec.rounding is Rounding.NEAREST else [f"{spec.rounding} rounding"]
    if spec.rate_penalty != RATE_PENALTY:
        rounding.append(f"rate penalty {spec.rate_penalty:g}")
    return rounding + [text for field, text in words.items() if getattr(spec, field)]


def _weights(quant: QuantSpec) -> list[str]:
    if quant.scheme is Scheme.STEP:
        words = f"step {quant.step:g}"
    elif len(quant.scheme.bits) == 1:
        words = str(quant.scheme)
    else:
        words = f"{quant.bits} bits" if quant.scheme is Scheme.SYMMETRIC else f"{quant.scheme} {quant.bits} bits"
    if quant.granularity is Granularity.GROUP:
        words += f" per group of {quant.group_size}"
    elif quant.granularity is Granularity.TENSOR and quant.scheme is not Scheme.STEP:
        words += " per tensor"
    if quant.only:
        words += f" in {quant.only} layers only"
    parts = [words]
    if quant.clip is not Clip.FULL:
        parts.append(f"clipping range {quant.clip}")
    if quant.skip_ends:
        parts.append("first and last layer float")
    return parts


def _layers(layers: Sequence[LayerSpec]) -> list[str]:
    floats = [layer.name for layer in layers if layer.bits == FLOAT_BITS and layer.sparsity is None]
    others = len(layers) - len(floats)
    names = " and ".join(floats) if len(floats) <= MOST_NAMES else f"{len(floats)} layers"
    parts = [f"{names} float"] if floats else []
    return [*parts, f"own settings for {others} layer{'s' * (others > 1)}"] if others else parts


def _prune(prune: PruneSpec) -> list[str]:
    if prune.pattern:
        words = f"{':'.join(map(str, prune.pattern))} sparse"
    elif prune.threshold is not None:
        filters = "filter " if prune.structure is Structure.FILTER else ""
        words = f"{filters}threshold {prune.threshold:g}{'' if prune.unit is Unit.ABSOLUTE else f' {prune.unit}'}"
    elif prune.structure is Structure.FILTER:
        words = f"{_percent(prune.sparsity)} of filters pruned"
    else:
        words = f"{_percent(prune.sparsity)} sparse"
    if prune.scope is Scope.LAYER:
        words += " per layer"
    return [words] if prune.criterion is Criterion.L1 else [words, f"criterion {prune.criterion}"]


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0):g} %"


def full_title(spec: CompressionSpec) -> str:
    """Returns a title with the network's name: "resnet20, 4 bits"."""
    return f"{spec.model}, {title(spec)}"
