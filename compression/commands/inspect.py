"""`inspect`: looks inside a compressed network: which images it loses, how sure it is, and where it looks."""

import argparse
import time
from dataclasses import asdict
from typing import Any

from compression.commands.shared.inputs import compressed_network, image_count
from compression.commands.shared.json_text import to_json
from compression.commands.shared.progress import end, follow_images, follow_share
from compression.core.record import CompressedModel
from compression.data.cifar10 import TEST
from compression.data.images import ImageSet, load
from compression.engine.cluster import engine
from compression.engine.evaluator import Evaluator
from compression.errors import DataMissing
from compression.evaluation.reading import Reading
from compression.inside.answers import probabilities, top
from compression.inside.calibration import Calibration, Reliability
from compression.inside.flips import Change, Comparison, Matrix, class_changes, compare, confusion, sort_surest_first
from compression.inside.inspector import Inspector, calibrate_results, logit_calls
from compression.inside.saliency import Method, Saliency, explain, rank_correlation
from compression.networks.model import FloatModel
from compression.results.neighbours import committed_reading
from compression.results.store import Store
from compression.spec import CompressionSpec

SHOWN = 20  # numbers of images in a line of words


def run(options: argparse.Namespace) -> None:
    """Prints what `options.what` asks for."""
    REPORTS[options.what](options)


def _flips(options: argparse.Namespace) -> None:
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
    source = (lambda: compressed) if compressed.spec.recovers else None
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


def _calibration(options: argparse.Namespace) -> None:
    count = image_count(options.images)
    model, compressed = compressed_network(options)
    images = load()[:count]
    inspector = Inspector(engine())
    calibrations = {}
    for name, spec, module in networks(model, compressed):
        calls = logit_calls(inspector.engine, model, spec, images, module)
        reading = follow_share(inspector.follow(calls), name)
        if not reading.done:
            end(reading.notice, False)
        calibrations[name] = calibrate_results(reading.results, images.labels)
    print(calibration_json(compressed.spec, count, calibrations) if options.json else in_words(calibrations))
    end(reading.notice, True)


def networks(model: FloatModel, compressed: CompressedModel) -> list[tuple[str, CompressionSpec, Any]]:
    """Returns both networks: a word, the spec, and the module where it takes seconds to make."""
    return [
        ("float", CompressionSpec(model.name), None),
        ("compressed", compressed.spec, compressed.module if compressed.spec.recovers else None),
    ]


def calibration_json(spec: CompressionSpec, images: int, calibrations: dict[str, Calibration]) -> str:
    """Returns what `inspect calibration --json` prints: both networks, before and after temperature scaling."""
    return to_json(
        {
            "model": spec.model,
            "spec": spec.to_json(),
            "images": images,
            **{
                name: {
                    "temperature": each.temperature,
                    "plain": _reliability(each.plain),
                    "scaled": _reliability(each.scaled),
                }
                for name, each in calibrations.items()
            },
        }
    )


def _reliability(each: Reliability) -> dict[str, Any]:
    return {
        "images": each.images,
        "confidence": each.confidence,
        "accuracy": each.accuracy,
        "expected_calibration_error": each.expected_error,
        "bins": [asdict(part) for part in each.bins],
    }


def in_words(calibrations: dict[str, Calibration]) -> str:
    """Returns what `inspect calibration` prints."""
    held = next(iter(calibrations.values())).plain.images
    lines = [f"on the {held:,} images of the held-out half; the temperature was chosen on the others"]
    lines += [
        f"{name:10} accuracy {each.plain.accuracy:.2%}, mean confidence {each.plain.confidence:.2%}, expected "
        f"calibration error {each.plain.expected_error:.2%}; with temperature {each.temperature:.2f}: "
        f"{each.scaled.expected_error:.2%}"
        for name, each in calibrations.items()
    ]
    return "\n".join(lines)


def _image(options: argparse.Namespace) -> None:
    model, compressed = compressed_network(options)
    images = load()
    if not 0 <= options.image < len(images):
        raise ValueError(f"--image must be in 0..{len(images) - 1:,}, got {options.image}")
    image = images[options.image : options.image + 1]
    values = image_values(model, compressed, image, options.image)
    print(to_json(values) if options.json else image_in_words(values))


def image_values(model: FloatModel, compressed: CompressedModel, image: ImageSet, number: int) -> dict[str, Any]:
    """Returns what `inspect image --json` prints: the predictions of both networks and where they look.

    All maps are for the class that the float network predicts.
    """
    modules = {"float": model.module, "compressed": compressed.module}
    each = {name: probabilities(module, image.pixels, model.normalization)[0] for name, module in modules.items()}
    label = int(each["float"].argmax())
    maps = {}
    for method in Method:
        saliencies, seconds = {}, {}
        for name, module in modules.items():
            start = time.perf_counter()
            saliencies[name] = explain(module, image.pixels[0], model.normalization, label, method)
            seconds[name] = time.perf_counter() - start
        maps[method.value] = {
            "rank_correlation": rank_correlation(*(one.values for one in saliencies.values())),
            **{name: _saliency(one, seconds[name]) for name, one in saliencies.items()},
        }
    return {
        "model": compressed.spec.model,
        "spec": compressed.spec.to_json(),
        "image": number,
        "class": image.classes[int(image.labels[0])],
        "explained_class": image.classes[label],
        "class_names": image.classes,
        "probabilities": {name: values.tolist() for name, values in each.items()},
        "maps": maps,
    }


def _saliency(each: Saliency, seconds: float) -> dict[str, Any]:
    return {"seconds": seconds, "logit_change": each.logit_change, "map": each.values.tolist()}


def image_in_words(values: dict[str, Any]) -> str:
    """Returns what `inspect image` prints."""
    names = values["class_names"]
    lines = [f"test image {values['image']}, class {values['class']}"]
    for network, shares in values["probabilities"].items():
        best = ", ".join(f"{names[each.label]} {each.probability:.1%}" for each in top(shares, 3))
        lines.append(f"{network:10} {best}")
    lines.append(f"where both networks look for {values['explained_class']}, by rank correlation of their maps")
    lines += [
        f"{method:20} {_signed(each['rank_correlation'])}, {each['float']['seconds']:.2f} s and "
        f"{each['compressed']['seconds']:.2f} s"
        for method, each in values["maps"].items()
    ]
    return "\n".join(lines)


def _signed(correlation: float | None) -> str:
    return "unknown" if correlation is None else f"{correlation:+.2f}"


REPORTS = {"flips": _flips, "calibration": _calibration, "image": _image}
