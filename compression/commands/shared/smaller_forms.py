"""The smaller networks that `evaluate` reports: filters merged or removed, and the verification."""

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
class SmallerForms:
    """A compressed network with equal filters merged into one, if its spec merges, and then with zero filters removed.

    `errors` (of weights, by merged layer) and `answer_error` (of the float network's outputs) are what merging alone
    changes: the sum of squared errors over the sum of squares.
    """

    merged: SmallerNetwork | None = None
    removed: SmallerNetwork | None = None
    errors: dict[str, float] | None = None
    answer_error: float | None = None


def smaller_forms(compressed: CompressedModel, model: FloatModel, images: ImageSet) -> SmallerForms:
    """Returns the smaller forms of `compressed`, each verified on the first of `images`.

    `model` is the float network that `compressed` comes from.
    """
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
    return SmallerForms(merged, removed, errors, answer_error)


def as_lines(forms: SmallerForms) -> str:
    """Returns one line per form that exists, and one per layer whose zero channels remain; each ends with a newline."""
    lines = ""
    if forms.merged:
        error = f"merging alone has a squared error of {forms.answer_error:.2%} on the logits"
        lines += f"merged    {_words(forms.merged)}; {error}\n"
    if forms.removed:
        lines += f"removable {_words(forms.removed)}\n"
    for rest in (each for form in (forms.merged, forms.removed) if form for each in form.remaining):
        lines += f"remain    {rest.channels:,} channels of {rest.layer}: {rest.why}\n"
    return lines


def as_values(forms: SmallerForms) -> dict[str, Any]:
    """Returns `merged` and `removed`, as far as they exist, for JSON."""
    values = {}
    if forms.merged:
        values["merged"] = _values(forms.merged) | {"errors": forms.errors, "answer_error": forms.answer_error}
    if forms.removed:
        values["removed"] = _values(forms.removed)
    return values


def _words(form: SmallerNetwork) -> str:
    return (
        f"{form.channels_removed:,} of {form.channels:,} filters: MACs {form.before.macs:,} -> {form.after.macs:,}, "
        f"outputs differ by at most {form.largest_difference:.1g} on {form.inputs} images"
    )


def _values(form: SmallerNetwork) -> dict[str, Any]:
    return {
        "channels_removed": form.channels_removed,
        "channels": form.channels,
        "before": _cost(form.before),
        "after": _cost(form.after),
        "layers": {layer.layer: (layer.before, layer.after) for layer in form.layers},
        "remaining": [asdict(rest) for rest in form.remaining],
        "largest_difference": form.largest_difference,
        "inputs": form.inputs,
    }


def _cost(cost: NetworkCost) -> dict[str, int]:
    return {"macs": cost.macs, "parameters": cost.parameters, "bytes": cost.size_bytes}
