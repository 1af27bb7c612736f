"""`inspect bitflips`: what single flipped bits of the stored weights and of the packed file cost."""

import argparse
from dataclasses import asdict
from typing import Any

from compression.commands.inspect.work import look
from compression.commands.shared.inputs import image_count, network_and_spec
from compression.commands.shared.json_text import to_json
from compression.data.images import load
from compression.files.stored import compress_network
from compression.inside.bits.report import AT_ONE_POSITION, SEEDS, StorageReport, report_storage, storages
from compression.inside.calls import bit_flip_calls
from compression.inside.robustness import IMAGES
from compression.spec import CompressionSpec


def run(options: argparse.Namespace) -> None:
    """Prints the accuracy after flips in float32, 8-bit and 4-bit codes, and in the settings that the options say.

    Of a network that is compressed already, the codes of its file take the place of float32.
    """
    count = image_count(options.images, IMAGES)
    model, spec = network_and_spec(options)
    compressed = compress_network(model, spec)
    images, ways = load(), storages(model, spec, compressed)
    ready = {spec: compressed} if spec.takes_seconds else {}
    results = look(
        "bit flips",
        lambda engine: [
            bit_flip_calls(engine, model, each.spec, each.bits, images, count, ready.get(each.spec)) for each in ways
        ],
    )
    reports = [report_storage(each, count, parts) for each, parts in zip(ways, results, strict=True)]
    print(to_json(json_values(spec, reports)) if options.json else in_words(reports))


def json_values(spec: CompressionSpec, reports: list[StorageReport]) -> dict[str, Any]:
    """Returns what `inspect bitflips --json` prints. `file` is a sentence where the network has no packed file."""
    return {
        "model": spec.model,
        "spec": spec.to_json(),
        "images": reports[0].images,
        "seeds": SEEDS,
        "flips_at_one_position": AT_ONE_POSITION,
        "storages": [asdict(each) for each in reports],
    }


def in_words(reports: list[StorageReport]) -> str:
    """Returns what `inspect bitflips` prints."""
    lines = []
    for each in reports:
        means = {count: sum(row) / len(row) / each.images for count, row in each.by_count.items()}
        worst, flip = each.worst, each.worst.flip
        lines += [
            f"{each.name}: {each.unflipped / each.images:.1%} of {each.images:,} images without a flip",
            "  by flipped bits: " + ", ".join(f"{count:,}: {mean:.1%}" for count, mean in means.items()),
            f"  {AT_ONE_POSITION} flips at one position, lowest first: "
            + ", ".join(f"{correct / each.images:.0%}" for correct in each.by_position),
            f"  worst bit found: bit {flip.bit} of weight {flip.weight:,} of {flip.layer}, {worst.before:.3g} -> "
            f"{worst.after:.3g}: {worst.correct / each.images:.1%}",
            f"  packed file: {_file(each)}",
        ]
    return "\n".join(lines)


def _file(each: StorageReport) -> str:
    file = each.file
    if isinstance(file, str):
        return file
    return (
        f"{file.refusals} of {file.bits} flips refused; without the checksum the decoder notices {file.detections} of "
        f"{file.body_bits}, and the others change {file.mean_change:.2%} of the weights in the mean"
    )
