"""`inspect layers`: what compression does to the signal, layer by layer."""

import argparse
from dataclasses import asdict
from typing import Any

from compression.commands.inspect.work import look
from compression.commands.shared.inputs import compressed_network, image_count
from compression.commands.shared.json_text import to_json
from compression.data.images import load
from compression.inside.calls import layer_calls, report_layers
from compression.inside.layers import LAYER_IMAGES, LayerReport
from compression.spec import CompressionSpec


def run(options: argparse.Namespace) -> None:
    """Prints the noise, the movement of the logits, the spread and the dead channels of each layer."""
    count = image_count(options.images, LAYER_IMAGES)
    model, compressed = compressed_network(options)
    images, ready = load(), compressed if compressed.spec.takes_seconds else None
    [results] = look("layers", lambda engine: [layer_calls(engine, model, compressed.spec, images, count, ready)])
    report = report_layers(results)
    print(to_json(json_values(compressed.spec, report)) if options.json else in_words(report))


def json_values(spec: CompressionSpec, report: LayerReport) -> dict[str, Any]:
    """Returns what `inspect layers --json` prints. `reestimated_spread` is null if there is none."""
    reestimated = report.reestimated or {}
    return {
        "model": spec.model,
        "spec": spec.to_json(),
        "images": report.layers[0].images,
        "layers": [asdict(each) | {"reestimated_spread": reestimated.get(each.name)} for each in report.layers],
    }


def in_words(report: LayerReport) -> str:
    """Returns what `inspect layers` prints."""
    width = max(len(each.name) for each in report.layers)
    lines = [
        f"on {report.layers[0].images} test images: SQNR of the output (dB), movement of the logits (root mean "
        "square), predictions that change; each for the layer alone, then with all layers before it; spread and dead "
        "channels in float, then compressed"
    ]
    lines += [
        f"{each.name:{width}} {each.alone_db:7.1f} {each.accumulated_db:6.1f} {each.alone_change:8.3f} "
        f"{each.accumulated_change:6.3f} {each.alone_flips:5} {each.accumulated_flips:4} {each.float_spread:9.3g} "
        f"{each.spread:9.3g} {each.float_dead:4} {each.dead:4}"
        for each in report.layers
    ]
    return "\n".join(lines)
