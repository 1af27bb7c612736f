"""`evaluate`: a network compressed, its bytes counted, its accuracy measured."""

import argparse
import dataclasses
import json
import sys
from typing import Any, NamedTuple

from compression.commands.shared.options import add_spec_arguments, compressed_from
from compression.commands.shared.progress import follow_with_bar, plus_minus
from compression.commands.shared.removed import Forms, as_lines, as_values, forms
from compression.core.record import CompressedModel
from compression.data.cifar10 import TEST
from compression.data.images import load
from compression.engine.cluster import engine
from compression.engine.evaluator import Evaluator
from compression.evaluation.evaluation import flips
from compression.evaluation.normalization_trial import TRIAL_IMAGES
from compression.evaluation.reading import Reading
from compression.files.ledger import FileLedger, encode_file, explain_size
from compression.files.size import Size, count_bytes
from compression.networks.model import FloatModel
from compression.results.store import Store
from compression.spec import CompressionSpec

HELP = "compress a network, count its bytes, measure its accuracy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_spec_arguments(parser)
    parser.add_argument("--images", metavar="N", type=int, default=TEST.images, help="test images (default all)")


def run(options: argparse.Namespace) -> None:
    """Prints the report. Ctrl-C while images are evaluated makes it a report on those that are, and then goes on."""
    if not 1 <= options.images <= TEST.images:
        raise ValueError(f"--images must be in 1..{TEST.images:,}, got {options.images}")
    model, compressed = compressed_from(options)
    images = load()[: options.images]
    evaluator = Evaluator(engine(), Store(), images)
    for name, each in {"float": CompressionSpec(model.name), "compressed": compressed.spec}.items():
        reading = follow_with_bar(evaluator.follow(model, each), len(images), name)
        if not reading.exact:
            break
    found = Bytes(count_bytes(compressed), encode_file(compressed, model)[1])
    left = forms(compressed, model, images)
    print((as_json if options.json else as_words)(compressed, model, found, reading, left))
    if reading.notice:
        print(reading.notice, file=sys.stderr)
    if not reading.exact:
        raise KeyboardInterrupt


class Bytes(NamedTuple):
    """What the network takes in ways that are counted, and in the file that `export` writes."""

    size: Size
    file: FileLedger

    @property
    def best(self) -> tuple[int, str]:
        """The way that takes fewest bytes, and its name. None has its container counted."""
        return min((self.size.best.total, self.size.best_name), (self.file.coded, "coded"))


def as_words(compressed: CompressedModel, model: FloatModel, found: Bytes, reading: Reading, left: Forms) -> str:
    """What `evaluate` prints."""
    best, way = found.best
    return (
        f"{compressed.spec.to_json()}\n"
        f"{_recognised(model)}"
        f"images    normalised as {model.normalization.name}\n"
        f"accuracy  {_accuracy(reading)}\n"
        f"weights   {compressed.nonzero:,} of {compressed.weights:,} are not zero: {compressed.sparsity:.2%} sparse\n"
        f"size      {best:,} bytes ({way}), float32 {found.size.float32:,}: "
        f"{found.size.float32 / best:.2f} times smaller\n"
        f"file      {found.file.total:,} bytes. {explain_size(found.file)}\n"
        f"{as_lines(left)}"
    ).rstrip()


def _accuracy(reading: Reading) -> str:
    """The accuracy, what it stands on, and the change against the float network."""
    seen, before, estimate = reading.seen, reading.before, reading.estimate
    if seen is None or estimate is None:
        return "stopped before the first images came back"
    if not reading.exact:
        of = "of the float network alone" if before is None else f"float {before.accuracy:.2%}"
        return f"{plus_minus(estimate)}, estimated: stopped after {seen.total:,} test images, {of}"
    low, high = seen.interval
    counted = f"{seen.accuracy:.2%} of {seen.total:,} test images (95 % interval {low:.2%} to {high:.2%})"
    if before is None or before is seen:
        return counted
    change = flips(before, seen)
    lost_and_won = f"{change.lost:,} images lost, {change.won:,} won, McNemar p = {change.p:.2g}"
    return f"{counted}, float {before.accuracy:.2%}\nchange    {lost_and_won}"


def as_json(compressed: CompressedModel, model: FloatModel, found: Bytes, reading: Reading, left: Forms) -> str:
    """What `evaluate --json` prints: accuracies in 0..1, sizes in bytes, the interval that of 95 %.

    `exact`: `accuracy` is that of all images that were asked for, the interval Wilson's. Otherwise it was stopped after
    `images`, of which `correct` were right, and accuracy and interval are an estimate for all. Of weights from
    elsewhere also what was `recognised`, and how each normalisation that was `tried` did. `coded` is entropy-coded
    where that is shorter; `file` is that with header and all.
    """
    seen, before, estimate = reading.seen, reading.before, reading.estimate
    whole = reading.whole
    change = flips(before, whole) if before and whole else None
    interval = whole.interval if whole else estimate and (estimate.low, estimate.high)
    values: dict[str, Any] = {
        "model": compressed.spec.model,
        "normalization": model.normalization.name,
        **{key: model.about[key] for key in ("recognised", "tried") if key in model.about},
        "spec": dataclasses.asdict(compressed.spec),
        "evaluated": dataclasses.asdict(reading.spec),
        "exact": reading.exact,
        "images": reading.images,
        "correct": seen and seen.correct,
        "accuracy": estimate and estimate.accuracy,
        "interval": interval,
        "float_accuracy": before and before.accuracy,
        "mcnemar": change and {"lost": change.lost, "won": change.won, "p": change.p},
        "top5": whole and whole.top5,
        "loss": whole and whole.loss,
        "per_class": whole and whole.per_class,
        "weights": compressed.weights,
        "nonzero": compressed.nonzero,
        "sparsity": compressed.sparsity,
        "size_bytes": {
            "float32": found.size.float32,
            "dense": found.size.dense.total,
            "sparse": found.size.sparse.total,
            "coded": found.file.coded,
            "best": found.best[0],
            "file": found.file.total,
        },
        **as_values(left),
    }
    return json.dumps(values)


def _recognised(model: FloatModel) -> str:
    """Lines on weights from elsewhere: which network they are, and how the normalisations did that were tried."""
    lines = ""
    if "recognised" in model.about:
        lines += f"network   {model.about['recognised']}\n"
    if "tried" in model.about:
        trials = (f"{t['normalization']} {t['accuracy']:.2%} (loss {t['loss']:.3f})" for t in model.about["tried"])
        lines += f"tried     {', '.join(trials)} on {TRIAL_IMAGES} test images; the lowest loss counts\n"
    return lines
