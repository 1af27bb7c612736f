"""A spec in a few words: "4 bits, 50 % sparse"."""

from compression.spec import (
    Clip,
    CompressionSpec,
    Criterion,
    Granularity,
    Order,
    PruneSpec,
    QuantSpec,
    Scheme,
    Scope,
    Structure,
    Unit,
)
from pages.ui import format

FLOAT = "float"


def name(spec: CompressionSpec) -> str:
    """All that it says but its network; what is as usual is left out."""
    said = _weights(spec.weights) if spec.weights else []
    said += _pruned(spec.prune) if spec.prune else []
    if spec.layers:
        said.append(f"{len(spec.layers)} layer{'s' * (len(spec.layers) > 1)} otherwise")
    if spec.activations:
        said.append(f"{spec.activations.bits}-bit activations ({spec.activations.calibration})")
    if spec.fold_bn:
        said.append("folded" if spec.order is Order.FOLD_FIRST else "folded last")
    if spec.merge:
        said.append(f"{format.percent(spec.merge, 0)} of filters merged")
    if spec.reestimate_bn:
        said.append("batch norm re-estimated")
    if spec.also:
        said.append(f"{', '.join(spec.also)} too")
    return ", ".join(said) or FLOAT


def full_name(spec: CompressionSpec) -> str:
    """With its network: "resnet20, 4 bits"."""
    return f"{spec.model}, {name(spec)}"


def _weights(quant: QuantSpec) -> list[str]:
    said = [f"{quant.bits} bit{'s' * (quant.bits > 1)}"]
    if quant.scheme is Scheme.STEP:
        said = [f"steps of {quant.step:g}"]
    elif quant.scheme in (Scheme.TERNARY, Scheme.BINARY):
        said = [quant.scheme]
    elif quant.scheme is not Scheme.SYMMETRIC:
        said.append(quant.scheme)
    if quant.granularity is Granularity.TENSOR and quant.scheme is not Scheme.STEP:
        said.append("one scale a tensor")
    if quant.group_size:
        said.append(f"groups of {quant.group_size}")
    if quant.clip is not Clip.FULL:
        said.append(f"range {quant.clip}{f' {quant.clip_at:g}' if quant.clip_at else ''}")
    if quant.only:
        said.append(f"{quant.only} layers alone")
    if quant.skip_ends:
        said.append("but the first and last layer")
    return said


def _pruned(prune: PruneSpec) -> list[str]:
    things = "filters" if prune.structure is Structure.FILTER else ""
    if prune.pattern:
        said = [f"{prune.pattern[0]}:{prune.pattern[1]} sparse"]
    elif prune.sparsity is not None:
        said = [f"{format.short_percent(prune.sparsity)} {f'of {things} pruned' if things else 'sparse'}"]
        said += ["by layer"] if prune.scope is Scope.LAYER else []
    else:
        unit = "" if prune.unit is Unit.ABSOLUTE else f" {prune.unit}"
        said = [f"{f'{things} ' if things else ''}pruned below {prune.threshold:g}{unit}"]
    if prune.criterion is not Criterion.L1:
        said.append(f"by {prune.criterion}{f' {prune.seed}' if prune.seed else ''}")
    return said
