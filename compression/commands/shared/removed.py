"""What `evaluate` says of the network that is physically left: filters merged and removed, and the proof."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from compression.core.record import CompressedModel
from compression.data.images import ImageSet
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel
from compression.pruning.deduplication import merge_duplicates
from compression.pruning.merging import merge_filters, relative_error
from compression.pruning.proof import NetworkCost, SmallerNetwork
from compression.pruning.removal import empty_filters, remove_zeroed

EXAMPLES = 4


@dataclass(frozen=True, eq=False)
class Forms:
    """Of a compressed network, without equal filters, where the spec merges, and then without zeros, where there are.

    `errors`: of the weights, by layer that was merged, and `answer_error` that of the float network's outputs: squared
    errors over the sum of squares, by merging alone.
    """

    merged: SmallerNetwork | None = None
    removed: SmallerNetwork | None = None
    errors: dict[str, float] | None = None
    answer_error: float | None = None


def forms(compressed: CompressedModel, model: FloatModel, images: ImageSet) -> Forms:
    """`model`: the float network that `compressed` was; the proofs are run on the first of `images`."""
    example = model.normalization(images[:EXAMPLES].pixels)
    module, merged, errors, answer_error = compressed.module, None, None, None
    if compressed.spec.merge:
        merged = merge_duplicates(module, example)
        module = merged.module
        tied = merge_filters(fold_batch_norm(model.module), compressed.spec.merge)
        errors = {layer.name: layer.error for layer in tied.layers}
        with torch.inference_mode():
            answer_error = relative_error(model.module(example), tied.module(example))
    removed = remove_zeroed(module, example) if any(empty_filters(module).values()) else None
    return Forms(merged, removed, errors, answer_error)


def as_lines(found: Forms) -> str:
    """A line for each form there is, each with its end."""
    lines = ""
    if found.merged:
        lines += f"merged    {_words(found.merged)}; squared error of the logits before: {found.answer_error:.2%}\n"
    if found.removed:
        lines += f"removable {_words(found.removed)}\n"
    for left in (one for form in (found.merged, found.removed) if form for one in form.remaining):
        lines += f"stay      {left.channels:,} of {left.layer}: {left.why}\n"
    return lines


def as_values(found: Forms) -> dict[str, Any]:
    """For JSON: `merged` and `removed`, where there are."""
    values = {}
    if found.merged:
        values["merged"] = _values(found.merged) | {"errors": found.errors, "answer_error": found.answer_error}
    if found.removed:
        values["removed"] = _values(found.removed)
    return values


def _words(form: SmallerNetwork) -> str:
    return (
        f"{form.channels_removed:,} of {form.channels:,} filters: MACs {form.before.macs:,} -> {form.after.macs:,}, "
        f"proved equal to {form.largest_difference:.1g} on {form.inputs} inputs"
    )


def _values(form: SmallerNetwork) -> dict[str, Any]:
    return {
        "gone": form.channels_removed,
        "channels": form.channels,
        "before": _cost(form.before),
        "after": _cost(form.after),
        "layers": {layer.layer: (layer.before, layer.after) for layer in form.layers},
        "left": [asdict(left) for left in form.remaining],
        "largest_difference": form.largest_difference,
        "inputs": form.inputs,
    }


def _cost(cost: NetworkCost) -> dict[str, int]:
    return {"macs": cost.macs, "parameters": cost.parameters, "bytes": cost.size_bytes}
