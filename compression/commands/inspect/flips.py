"""`inspect flips`: which images a compressed network loses, and from which classes."""

import argparse
from typing import Any

from compression.commands.shared.inputs import compressed_network, image_count
from compression.commands.shared.json_text import to_json
from compression.commands.shared.progress import end, follow_images
from compression.core.record import CompressedModel
from compression.data.cifar10 import TEST
from compression.data.images import load
from compression.engine.cluster import engine
from compression.engine.evaluator import Evaluator
from compression.errors import DataMissing
from compression.evaluation.reading import Reading
from compression.inside.flips import Change, Comparison, Matrix, class_changes, compare, confusion, sort_surest_first
from compression.networks.model import FloatModel
from compression.results.neighbours import committed_reading
from compression.results.store import Store
from compression.spec import CompressionSpec

SHOWN = 20  # numbers of images in a line of words


def run(options: argparse.Namespace) -> None:
    """Prints which images change sides."""
    count = image_count(options.images)
    model, compressed = compressed_network(options)
    last = _predictions(model, compressed, count)
    if last.whole is None or last.before is None:
        end(last.notice, False)
        return
    comparison = compare(last.before, last.whole)
    values = flip_values(compressed.spec, comparison)
    print(to_json(values) if options.json else flips_in_words(values, comparison))
    end(last.notice, True)


def _predictions(model: FloatModel, compressed: CompressedModel, count: int) -> Reading:
    """Returns the predictions of both networks; without test images those that were measured beforehand.

    Raises DataMissing where there are neither.
    """
    try:
        images = load()[:count]
    except DataMissing:
        reading = committed_reading(model, compressed.spec, lambda: compressed.sparsity)
        if count == TEST.images and isinstance(reading, Reading):
            return reading
        raise
    evaluator = Evaluator(engine(), Store(), images, use_landscape=True)
    source = (lambda: compressed) if compressed.spec.takes_seconds else None
    before = follow_images(evaluator.follow(model, CompressionSpec(model.name)), count, "float")
    if not before.exact:
        return before
    return follow_images(evaluator.follow(model, compressed.spec, compressed=source), count, "compressed")


def flip_values(spec: CompressionSpec, comparison: Comparison) -> dict[str, Any]:
    """Returns what `inspect flips --json` prints. Images are named by their number in canonical order, from 0."""
    counts = comparison.counts
    return {
        "model": spec.model,
        "spec": spec.to_json(),
        "images": len(comparison.labels),
        "counts": {change.name.lower(): count for change, count in counts.items()},
        "p": comparison.flips.p,
        **{
            change.name.lower(): sort_surest_first(comparison, comparison.changes[change])
            for change in Change
            if change is not Change.SAME
        },
        "confusion": {matrix.name.lower(): confusion(comparison, matrix) for matrix in Matrix},
        "class_names": comparison.classes,
        "classes": [
            {
                "class": each.name,
                "images": each.images,
                "float_correct": each.before,
                "correct": each.after,
                "lost": each.lost,
                "won": each.won,
            }
            for each in class_changes(comparison)
        ],
    }


def flips_in_words(values: dict[str, Any], comparison: Comparison) -> str:
    """Returns what `inspect flips` prints."""
    counts, first = values["counts"], ", ".join(map(str, values["lost"][:SHOWN]))
    lines = [
        f"{values['images']:,} images: {counts['lost']:,} lost, {counts['won']:,} won, {counts['both_wrong']:,} "
        f"classified wrongly by both, each otherwise; McNemar test p = {values['p']:.2g}",
        f"lost, those first of which the float network is the surest: {first}",
    ]
    for each in class_changes(comparison):
        lines.append(f"{each.name:12} {100 * each.change:+6.2f} points, {each.lost:,} lost, {each.won:,} won")
    return "\n".join(lines)
