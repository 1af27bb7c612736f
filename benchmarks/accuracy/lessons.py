"""How differently the bundled networks react to the same settings, on all 10,000 test images, without fine-tuning.

    python -m benchmarks.accuracy.lessons [--images 10000]

Prints a markdown table of accuracies: float; 4 bits with one scale per tensor or per channel, with batch norm as is or
folded; and global pruning of the smallest weights. Sentences on the largest differences follow.
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
GRANULARITIES = (Granularity.TENSOR, Granularity.CHANNEL)
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
            for g in GRANULARITIES
        },
        **{f"{s:.0%} pruned": CompressionSpec(name, PruneSpec(sparsity=s)) for s in SPARSITIES},
    }


def percentages(name: str, images: ImageSet, bar: tqdm) -> dict[str, float]:
    """Column -> accuracy in per cent."""
    model = load_bundled(name)
    accuracies = {}
    for column, spec in specs(name).items():
        accuracies[column] = 100 * evaluate(compress(model.module, spec).module, images, model.normalization).accuracy
        bar.update()
    return accuracies


def lessons(accuracies: dict[str, dict[str, float]]) -> list[str]:
    def drop(name: str, column: str) -> float:
        return accuracies[name]["float"] - accuracies[name][column]

    over, residual = (drop(name, f"{s:.0%} pruned") for name, s in (LESSON_VGG, LESSON_RESNET))
    sentences = []
    for words, end in (("apart", ""), ("folded", ", folded")):
        tensor, channel = (drop(LESSON_BITS, f"{BITS} bits per {g}{end}") for g in GRANULARITIES)
        sentences.append(
            f"{LESSON_BITS} at {BITS} bits, batch norm {words}, loses {tensor:.2f} points with one scale per tensor "
            f"and {channel:.2f} with one per channel."
        )
    return [
        *sentences,
        f"{LESSON_VGG[0]} loses {over:.2f} points at {LESSON_VGG[1]:.0%} sparsity, "
        f"{LESSON_RESNET[0]} {residual:.2f} points at {LESSON_RESNET[1]:.0%}.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    images = load()[: parser.parse_args().images]
    names = bundled_names()
    with tqdm(desc="lessons", total=sum(len(specs(name)) for name in names), leave=False) as bar:
        accuracies = {name: percentages(name, images, bar) for name in names}
    rows = [(name, *(f"{value:.2f}" for value in accuracies[name].values())) for name in names]
    print(f"{len(images):,} test images; {conditions()}\n")
    print(table(("network, accuracy %", *specs("")), rows), end="\n\n")
    print("\n".join(lessons(accuracies)))


if __name__ == "__main__":
    main()
