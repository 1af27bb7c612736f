"""`inspect corruptions`: what noise, blur, light, JPEG, shift and rotation cost both networks."""

import argparse
from dataclasses import asdict
from typing import Any

from compression.commands.inspect.work import look, networks
from compression.commands.shared.inputs import compressed_network, image_count
from compression.commands.shared.json_text import to_json
from compression.data.images import load
from compression.inside.calls import corruption_calls, right_by_condition
from compression.inside.corruptions import Corruption
from compression.inside.robustness import IMAGES, ConditionCost, CorruptionReport, Difference, report_corruptions
from compression.spec import CompressionSpec


def run(options: argparse.Namespace) -> None:
    """Prints the accuracy of both networks under each corruption."""
    count = image_count(options.images, IMAGES)
    model, compressed = compressed_network(options)
    images = load()
    results = look(
        "corruptions",
        lambda engine: [
            corruption_calls(engine, model, spec, images, count, module) for spec, module in networks(model, compressed)
        ],
    )
    before, after = (right_by_condition(each, count) for each in results)
    report = report_corruptions(before, after, images.labels[:count], images.classes)
    print(to_json(json_values(compressed.spec, report)) if options.json else in_words(report))


def json_values(spec: CompressionSpec, report: CorruptionReport) -> dict[str, Any]:
    """Returns what `inspect corruptions --json` prints. The clean images have no corruption and severity 0."""
    return {
        "model": spec.model,
        "spec": spec.to_json(),
        "images": report.clean.images,
        "conditions": [
            {
                "corruption": each.condition.corruption,
                "severity": each.condition.severity,
                "float_correct": each.before,
                "correct": each.after,
                "change": asdict(each.change),
                "extra": asdict(each.extra),
            }
            for each in report.conditions
        ],
        "by_corruption": {corruption: asdict(each) for corruption, each in report.by_corruption.items()},
        "mean_change": asdict(report.change),
        "mean_extra": asdict(report.extra),
        "classes": [asdict(each) for each in report.classes],
    }


def in_words(report: CorruptionReport) -> str:
    """Returns what `inspect corruptions` prints."""
    clean, worst = report.clean, report.classes[0]
    lines = [
        f"accuracy of float and compressed on {clean.images:,} test images, by severity",
        f"clean       {_pair(clean)}",
    ]
    lines += [f"{kind:11} " + "  ".join(map(_pair, report.of(kind))) for kind in Corruption]
    lines += [
        f"change by compression: {_points(clean.change)} on clean images",
        f"mean change over all corruptions: {_points(report.change)}",
        f"difference of the two: {_points(report.extra)}",
        f"class with the greatest loss under corruptions: {worst.name}, {100 * worst.corrupted:+.2f} points, and "
        f"{100 * worst.clean:+.2f} on clean images",
    ]
    return "\n".join(lines)


def _pair(each: ConditionCost) -> str:
    return f"{each.before / each.images:6.1%} {each.after / each.images:6.1%}"


def _points(each: Difference) -> str:
    return f"{100 * each.mean:+.2f} points (95 % interval {100 * each.low:+.2f} to {100 * each.high:+.2f})"
