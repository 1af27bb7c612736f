"""`inspect calibration`: how sure both networks are, and how often they are right."""

import argparse
from dataclasses import asdict
from typing import Any

from compression.commands.inspect.work import NETWORKS, look, networks
from compression.commands.shared.inputs import compressed_network, image_count
from compression.commands.shared.json_text import to_json
from compression.data.images import ImageSet, load
from compression.inside.calibration import Calibration, CurvePoint, Reliability, curve_specs
from compression.inside.calls import calibrate_results, curve_calls, logit_calls, read_curve_point
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec


def run(options: argparse.Namespace) -> None:
    """Prints how sure both networks are."""
    count = image_count(options.images)
    model, compressed = compressed_network(options)
    images = load()[:count]
    if options.curve:
        points = _curve(model, compressed.spec, images)
        print(to_json(curve_values(compressed.spec, count, points)) if options.json else curve_in_words(points))
        return
    results = look(
        "logits",
        lambda engine: [
            logit_calls(engine, model, spec, images, module) for spec, module in networks(model, compressed)
        ],
    )
    calibrations = {name: calibrate_results(each, images.labels) for name, each in zip(NETWORKS, results, strict=True)}
    print(calibration_json(compressed.spec, count, calibrations) if options.json else in_words(calibrations))


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


def _curve(model: FloatModel, spec: CompressionSpec, images: ImageSet) -> list[CurvePoint]:
    ats = curve_specs(spec)
    results = look("curve", lambda engine: [curve_calls(engine, model, each, images) for each in ats])
    return [read_curve_point(each, parts, images.labels) for each, parts in zip(ats, results, strict=True)]


def curve_values(spec: CompressionSpec, images: int, points: list[CurvePoint]) -> dict[str, Any]:
    """Returns what `inspect calibration --curve --json` prints. Without training images, `scaled` is null."""
    return {
        "model": spec.model,
        "spec": spec.to_json(),
        "images": images,
        "points": [
            {
                "bits": each.at.bits,
                "sparsity": each.at.sparsity,
                "spec": each.at.spec.to_json(),
                "accuracy": each.plain.accuracy,
                "confidence": each.plain.confidence,
                "plain": each.plain.expected_error,
                "scaled": each.scaled.expected_error if each.scaled else None,
                "temperature": each.temperature,
            }
            for each in points
        ],
    }


def curve_in_words(points: list[CurvePoint]) -> str:
    """Returns what `inspect calibration --curve` prints."""
    lines = [
        f"expected calibration error on {points[0].plain.images:,} test images, as it is and with a temperature that "
        "was fitted on training images"
    ]
    for each in points:
        name = f"{each.at.bits} bits" if each.at.bits else f"{each.at.sparsity:.0%} sparsity"
        scaled = f"{each.scaled.expected_error:6.2%}, temperature {each.temperature:.2f}" if each.scaled else "unknown"
        lines.append(f"{name:13} {each.plain.expected_error:6.2%} {scaled}")
    return "\n".join(lines)
