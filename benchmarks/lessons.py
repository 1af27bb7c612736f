"""How differently the bundled networks behave under the same slider, on all 10,000 test images, nothing fine-tuned.

    python -m benchmarks.lessons [--images 10000]

Prints a markdown table: accuracy as float, at 4 bits with one scale per tensor and with one per channel, each with
batch norm apart and folded, and with the smallest weights pruned over the whole network; and what the differences say.
"""

import argparse

from tqdm import tqdm

from benchmarks.setting import conditions, table
from compression.core.compress import compress
from compression.data.images import ImageSet, load
from compression.evaluation.evaluation import evaluate
from compression.networks.bundled import bundled_names, load_bundled
from compression.spec import CompressionSpec, Granularity, PruneSpec, QuantSpec

BITS = 4
SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
LESSON_BITS, LESSON_VGG, LESSON_RESNET = "mobilenetv2", ("vgg", 0.7), ("resnet20", 0.6)


def specs(name: str) -> dict[str, CompressionSpec]:
    """Column -> spec."""
    return {
        "float": CompressionSpec(name),
        **{
            f"{BITS} bits per {g}{', folded' if fold else ''}": CompressionSpec(
                name, weights=QuantSpec(BITS, granularity=g), fold_bn=fold
            )
            for fold in (False, True)
            for g in Granularity
        },
        **{f"{s:.0%} pruned": CompressionSpec(name, PruneSpec(sparsity=s)) for s in SPARSITIES},
    }


def percentages(name: str, images: ImageSet, bar: tqdm) -> dict[str, float]:
    """Column -> accuracy in per cent."""
    model = load_bundled(name)
    found = {}
    for column, spec in specs(name).items():
        found[column] = 100 * evaluate(compress(model.module, spec).module, images, model.normalization).accuracy
        bar.update()
    return found


def lessons(found: dict[str, dict[str, float]]) -> list[str]:
    def lost(name: str, column: str) -> float:
        return found[name]["float"] - found[name][column]

    over, residual = (lost(name, f"{s:.0%} pruned") for name, s in (LESSON_VGG, LESSON_RESNET))
    quantized = []
    for words, end in (("apart", ""), ("folded", ", folded")):
        tensor, channel = (lost(LESSON_BITS, f"{BITS} bits per {g}{end}") for g in Granularity)
        quantized.append(
            f"{LESSON_BITS} at {BITS} bits, batch norm {words}, loses {tensor:.2f} points with one scale per tensor "
            f"and {channel:.2f} with one per channel."
        )
    return [
        *quantized,
        f"{LESSON_VGG[0]} loses {over:.2f} points at {LESSON_VGG[1]:.0%} sparsity, "
        f"{LESSON_RESNET[0]} {residual:.2f} points at {LESSON_RESNET[1]:.0%}.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    images = load()[: parser.parse_args().images]
    names = bundled_names()
    with tqdm(desc="lessons", total=sum(len(specs(name)) for name in names), leave=False) as bar:
        found = {name: percentages(name, images, bar) for name in names}
    rows = [(name, *(f"{value:.2f}" for value in found[name].values())) for name in names]
    print(f"{len(images):,} test images; {conditions()}\n")
    print(table(("network, % right", *specs("")), rows), end="\n\n")
    print("\n".join(lessons(found)))


if __name__ == "__main__":
    main()
