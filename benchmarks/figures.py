"""The accuracies and sizes in docs/measured.md, each measured now, beside what it should be.

    python -m benchmarks.figures [--images 10000]

Prints one markdown table: a public ResNet-20 (its accuracy as float, quantized and pruned, beside the values
in tests/core/reference.py, whose pytest this needs) and the bundled networks (accuracy beside the one that their file
states; bytes). Parts without data are omitted, with a line that says so. The reference values
hold for all 10,000 images; with fewer the differences mean nothing.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from tqdm import tqdm

from benchmarks.setting import conditions, table
from compression.core.compress import compress
from compression.data.images import ImageSet, load
from compression.errors import DataError
from compression.evaluation.evaluation import evaluate
from compression.evaluation.normalization_trial import load_checkpoint
from compression.files.size import count_bytes
from compression.networks.bundled import bundled_names, load_bundled
from compression.paths import ASSETS, PROJECT
from compression.spec import CompressionSpec, Granularity, QuantSpec, Scheme
from tests.core.reference import COLUMNS, FLOAT, PRUNED, QUANTIZED
from tests.core.test_reference import prune_spec

PUBLIC = PROJECT.parent / "shared" / "checkpoints" / "resnet20-12fca82f.th"
SIZED_BITS = (8, 4)
Row = tuple[str, str, str, str]


def reference(model: str) -> dict[CompressionSpec, float]:
    """Spec -> accuracy in per cent, as the tests expect it."""
    by_quantizer = {
        CompressionSpec(model, weights=QuantSpec(bits, Scheme(scheme), Granularity(granularity))): value
        for bits, values in QUANTIZED.items()
        for (scheme, granularity), value in zip(COLUMNS, values, strict=True)
    }
    at_equal_counts = {replace(prune_spec(sparsity), model=model): value for sparsity, value in PRUNED.items()}
    return {CompressionSpec(model): FLOAT} | by_quantizer | at_equal_counts


def public_rows(images: ImageSet) -> Iterator[Row]:
    model = load_checkpoint(PUBLIC, load())
    for spec, expected in reference(model.name).items():
        result = evaluate(compress(model.module, spec).module, images, model.normalization)
        what = in_words(spec, f"float, normalisation found: {model.normalization.name}")
        yield accuracy_row(f"public ResNet-20, {what}", result.accuracy * 100, expected)


def bundled_rows(images: ImageSet | None) -> Iterator[Row]:
    """Accuracy (where there are images) and bytes of each bundled network."""
    for name in bundled_names():
        model = load_bundled(name)
        if images:
            accuracy = evaluate(model.module, images, model.normalization).accuracy
            yield accuracy_row(f"{name}, float", accuracy * 100, (model.accuracy or 0) * 100)
        yield f"{name}, bundled file", f"{(ASSETS / f'{name}.safetensors').stat().st_size:,} bytes", "", ""
        float32 = count_bytes(compress(model.module, CompressionSpec(name))).float32
        yield f"{name}, float32", f"{float32:,} bytes", "", ""
        for bits in SIZED_BITS:
            size = count_bytes(compress(model.module, CompressionSpec(name, weights=QuantSpec(bits))))
            times = f"{size.float32 / size.best.total:.2f} times smaller"
            yield f"{name}, {bits} bits", f"{size.best.total:,} bytes, {times}", "", ""


def in_words(spec: CompressionSpec, otherwise: str) -> str:
    if spec.weights:
        return f"{spec.weights.bits} bits, {spec.weights.scheme}, {spec.weights.granularity}"
    return f"{100 * (spec.prune.sparsity or 0):.0f} % pruned" if spec.prune else otherwise


def accuracy_row(what: str, measured_percent: float, expected_percent: float) -> Row:
    difference = f"{measured_percent - expected_percent:+.2f}"
    return what, f"{measured_percent:.2f} %", f"{expected_percent:.2f} %", difference


def report_omission(part: str, reason: object) -> None:
    print(f"omitted: {part}: {reason}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    options = parser.parse_args()
    images = None
    try:
        images = load()[: options.images]
    except DataError as error:
        report_omission("all accuracies", error)
    if images and not PUBLIC.exists():
        report_omission("the public ResNet-20", f"there is no {PUBLIC}")
    public = public_rows(images) if images and PUBLIC.exists() else iter(())
    rows = list(tqdm(chain(public, bundled_rows(images)), desc="figures", unit="", leave=False))
    print(f"{len(images) if images else 0:,} test images; {conditions()}\n")
    print(table(("figure", "measured", "expected", "difference"), rows))


if __name__ == "__main__":
    main()
