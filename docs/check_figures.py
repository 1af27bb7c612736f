"""Checks the figures of README.md and docs/measured.md: bytes, counts and accuracies, each computed again.

    python -m docs.check_figures [--all]

Each claim names a row of a document and the numbers that must stand in it. Numbers of bytes and parameters must be
equal, accuracies may differ by the noise of another processor: one image in ten thousand. Without `--all`, only
what takes no images and no search is checked, which takes a few seconds; a test does the same. With it, the bundled
networks are evaluated on all test images, and the searches run again, which takes minutes. Times are not checked: each
row of docs/measured.md names the program that measures them. Ends with status 1 if a figure is wrong.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tqdm import tqdm

from compression.core.compress import compress
from compression.data.cifar10 import TEST
from compression.data.images import load
from compression.evaluation.evaluation import evaluate
from compression.files.ledger import count_file
from compression.files.size import count_bytes
from compression.library.recovered import by_name, gallery_names
from compression.networks.bundled import bundled_names, load_bundled
from compression.networks.macs import layer_macs
from compression.paths import PROJECT
from compression.results import landscape
from compression.spec import CompressionSpec, Granularity, PruneSpec, QuantSpec

README, MEASURED = "README.md", "docs/measured.md"

RECOVERED = {  # the row of a recovered network, and the beginning of its title
    "4-bit weights and activations": "4 bits, conv1 and fc float, 4-bit activations",
    "3-bit weights and activations": "3 bits, conv1 and fc float, 3-bit activations",
    "2-bit weights and activations": "2 bits, conv1 and fc float, 2-bit activations",
    "ternary weights": "ternary",
    "binary weights": "binary",
    "90 % sparse": "8 bits, 90 % sparse",
    "half of the multiply-accumulates": "8 bits, 50 % of filters pruned",
}

IMAGE_PERCENT = 0.01  # one of ten thousand

SEARCH_BYTES, SEARCH_POINTS = 0.03, 0.3  # a search may take another way on another processor


@dataclass(frozen=True)
class Figure:
    """A number that a row must hold, with the digits that it is printed with, up to `noise`."""

    value: float
    digits: int = 0
    noise: float = 0.0

    def stands_in(self, row: str) -> bool:
        numbers = (float(text.replace(",", "")) for text in re.findall(r"\d[\d,]*(?:\.\d+)?", row))
        rounding = 0.5 * 10**-self.digits * bool(self.digits)
        return any(abs(number - self.value) <= self.noise + rounding + 1e-9 for number in numbers)


@dataclass(frozen=True)
class Claim:
    """The row of a document that begins with `row` must hold all `figures`; `slow` if these need images or a search."""

    document: str
    row: str
    figures: Callable[[], list[Figure]]
    slow: bool = False


def network_figures(name: str) -> list[Figure]:
    model = load_bundled(name)
    macs = sum(layer_macs(model.module, model.example).values())
    return [Figure(model.parameters), Figure(macs / 1e6, 2), Figure(100 * (model.accuracy or 0), 2)]


def stated_accuracies(*names: str) -> list[Figure]:
    return [Figure(100 * (load_bundled(name).accuracy or 0), 2) for name in names]


def counted_accuracy(name: str) -> list[Figure]:
    model = load_bundled(name)
    accuracy = evaluate(model.module, load(TEST), model.normalization).accuracy
    return [Figure(100 * accuracy, 2, IMAGE_PERCENT)]


def in_memory() -> list[Figure]:
    size = count_bytes(compress(load_bundled("resnet20").module, CompressionSpec("resnet20", weights=QuantSpec(4))))
    return [Figure(round(size.best.total / 1000)), Figure(size.float32 / size.best.total, 2)]


def files() -> list[Figure]:
    figures = []
    for spec in (
        CompressionSpec("resnet20", None, QuantSpec(4), fold_bn=True),
        CompressionSpec("vgg", PruneSpec(sparsity=0.9), QuantSpec(4)),
    ):
        model = load_bundled(spec.model)
        file = count_file(compress(model.module, spec), model)
        figures += [Figure(file.total), Figure(file.float32 / file.total, 1)]
    return figures


def landscape_bytes() -> list[Figure]:
    specs = {len(landscape.read_landscape(load_bundled(name)).rows) for name in bundled_names()}
    nbytes = sum(path.stat().st_size for path in landscape.FOLDER.glob("*.parquet"))
    return [*map(Figure, specs), Figure(len(gallery_names())), Figure(nbytes / 1e6, 1)]


def recovered_accuracy(beginning: str) -> list[Figure]:
    """Of the network of the gallery whose title begins so."""
    here = by_name()
    (only,) = [each for each in here.values() if each.is_bundled and each.title(here).startswith(beginning)]
    return [Figure(100 * (only.lineage.accuracy or 0), 2)]


def points_lost() -> list[Figure]:
    """Of vgg with 70 % of its weights pruned and of resnet20 with 60 %, from the results that are committed."""
    figures = []
    for name, sparsity in (("vgg", 0.7), ("resnet20", 0.6)):
        known = landscape.read_landscape(load_bundled(name))
        before, after = known.get(CompressionSpec(name)), known.get(CompressionSpec(name, PruneSpec(sparsity=sparsity)))
        if before and after:
            lost = 100 * (before.evaluation.accuracy - after.evaluation.accuracy)
            figures.append(Figure(lost, 1, 2 * IMAGE_PERCENT))
    return figures


def counted_at_4_bits(fold_bn: bool) -> list[Figure]:
    """The accuracy of mobilenetv2 with one scale per tensor and with one per channel."""
    model, images = load_bundled("mobilenetv2"), load(TEST)
    each_for = (Granularity.TENSOR, Granularity.CHANNEL)
    specs = [CompressionSpec(model.name, None, QuantSpec(4, granularity=g), fold_bn=fold_bn) for g in each_for]
    modules = (compress(model.module, spec).module for spec in specs)
    accuracies = (evaluate(module, images, model.normalization).accuracy for module in modules)
    return [Figure(100 * accuracy, 2, 3 * IMAGE_PERCENT) for accuracy in accuracies]


def search_figures(name: str) -> list[Figure]:
    """Bytes and points lost on the held-out half, of the winner and of the best uniform network."""
    command = (sys.executable, "-m", "compression", "search", "--model", name, "--drop", "1", "--json")
    found = json.loads(subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE).stdout)
    before = found["float"]["held_back"]["accuracy"]
    figures = []
    for network in (found["winner"], found["uniform"]):
        lost = 100 * (before - network["held_back"]["accuracy"])
        figures += [Figure(network["bytes"], noise=SEARCH_BYTES * network["bytes"]), Figure(lost, 2, SEARCH_POINTS)]
    # The row of simple_cnn leaves out the points of the winner.
    return figures if name != "simple_cnn" else [figures[0], *figures[2:]]


def claims() -> list[Claim]:
    """Returns all claims, the quick ones first."""
    networks = [Claim(README, f"| {name} |", partial(network_figures, name)) for name in bundled_names()]
    others = ("vgg", "mobilenetv2", "cnn3", "simple_cnn")
    folded, apart = "| mobilenetv2 at 4 bits, batch norm folded", "| the same with batch norm apart"
    quick = [
        Claim(MEASURED, "| resnet20, our own training, float", partial(stated_accuracies, "resnet20")),
        Claim(MEASURED, "| vgg, mobilenetv2, cnn3, simple_cnn, trained here", partial(stated_accuracies, *others)),
        Claim(MEASURED, "| vgg with 70 % of its weights pruned", points_lost),
        Claim(MEASURED, "| resnet20 at 4 bits per channel: in-memory size", in_memory),
        Claim(MEASURED, "| the file of resnet20 at 4 bits, batch norm folded", files),
        Claim(MEASURED, "| the landscape: five networks", landscape_bytes),
        *(
            Claim(MEASURED, f"| resnet20, {row} |", partial(recovered_accuracy, f"resnet20: {beginning}"))
            for row, beginning in RECOVERED.items()
        ),
    ]
    slow = [
        *(Claim(README, f"| {name} |", partial(counted_accuracy, name), slow=True) for name in bundled_names()),
        Claim(MEASURED, folded, partial(counted_at_4_bits, True), slow=True),
        Claim(MEASURED, apart, partial(counted_at_4_bits, False), slow=True),
        Claim(MEASURED, "| resnet20 searched within one point", partial(search_figures, "resnet20"), slow=True),
        Claim(MEASURED, "| the same for simple_cnn", partial(search_figures, "simple_cnn"), slow=True),
        Claim(MEASURED, "| the same for cnn3", partial(search_figures, "cnn3"), slow=True),
    ]
    return [*networks, *quick, *slow]


def mistakes(claim: Claim) -> Iterator[str]:
    """Yields a sentence for each figure that does not stand in the row of `claim`."""
    lines = (PROJECT / claim.document).read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith(claim.row)]
    if len(rows) != 1:
        yield f"{claim.document}: {len(rows)} rows begin with {claim.row!r}, expected one"
        return
    for figure in claim.figures():
        if not figure.stands_in(rows[0]):
            yield f"{claim.document}: {figure.value:,.{figure.digits}f} is computed, which is not in: {rows[0]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="also what takes images or a search: minutes")
    with_slow = parser.parse_args().all
    checked = [claim for claim in claims() if with_slow or not claim.slow]
    wrong = [sentence for claim in tqdm(checked, "documents", leave=False) for sentence in mistakes(claim)]
    print("\n".join(wrong) or f"all figures of {len(checked)} rows are right")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
