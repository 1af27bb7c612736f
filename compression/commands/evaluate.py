"""`evaluate`: compresses a network, counts its bytes and measures its accuracy."""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from compression.commands.shared.inputs import compressed_network, image_count
from compression.commands.shared.json_text import to_json
from compression.commands.shared.progress import end, follow_images, plus_minus
from compression.commands.shared.smaller_forms import SmallerForms, as_lines, as_values, smaller_forms
from compression.core.record import CompressedModel
from compression.data.images import load
from compression.engine.cluster import engine
from compression.engine.evaluator import Evaluator
from compression.evaluation.evaluation import flips
from compression.evaluation.normalization_trial import choice_in_words
from compression.evaluation.reading import Reading
from compression.evaluation.stated import compare_stated, stated_in_words
from compression.files.ledger import FileLedger, count_file, explain_size
from compression.files.size import Size, count_bytes
from compression.inspect.warnings import constant_answer, find_warnings
from compression.library.catalog import base_word
from compression.networks.model import FloatModel
from compression.results.store import Store
from compression.spec import CompressionSpec


def run(options: argparse.Namespace) -> None:
    """Prints the report. After Ctrl-C, its accuracy is an estimate from the images that were evaluated by then."""
    count = image_count(options.images)
    model, compressed = compressed_network(options)
    images = load()[:count]
    evaluator = Evaluator(engine(), Store(), images)
    for name, each in {"float": CompressionSpec(model.name), "compressed": compressed.spec}.items():
        source = (lambda: compressed) if each.takes_seconds else None  # which takes workers seconds to make again
        reading = follow_images(evaluator.follow(model, each, compressed=source), len(images), name)
        if not reading.exact:
            break
    count_of_bytes = Bytes(count_bytes(compressed), count_file(compressed, model))
    smaller = smaller_forms(compressed, model, images)
    warnings = [*find_warnings(compressed, model.example), *filter(None, [constant_answer(reading.visited)])]
    print((as_json if options.json else as_words)(compressed, model, count_of_bytes, reading, smaller, warnings))
    end(reading.notice, reading.exact)


class Bytes(NamedTuple):
    """What a network takes in memory, and in the packed file that `export` writes, whose bytes are its size."""

    memory: Size
    file: FileLedger


def as_words(
    compressed: CompressedModel,
    model: FloatModel,
    count: Bytes,
    reading: Reading,
    smaller: SmallerForms,
    warnings: Sequence[str] = (),
) -> str:
    """Returns what `evaluate` prints."""
    memory, file = count.memory, count.file
    cautions = "".join(f"warning   {sentence}\n" for sentence in warnings)
    return (
        f"{compressed.spec.to_json()}\n"
        f"{_recognition(model, reading)}"
        f"{cautions}"
        f"images    {model.normalization.name} normalization\n"
        f"accuracy  {_accuracy(reading, base_word(model))}\n"
        f"weights   {compressed.nonzero:,} of {compressed.weights:,} are nonzero: {compressed.sparsity:.2%} sparsity\n"
        f"size      {file.total:,} bytes in the packed file, float32 {file.float32:,} bytes. {explain_size(file)}\n"
        f"in memory {memory.best.total:,} bytes ({memory.best_name}), before entropy coding and without a header\n"
        f"{as_lines(smaller)}"
    ).rstrip()


def _accuracy(reading: Reading, base: str) -> str:
    """Returns the accuracy, the number of images it stands on, and the change from the network `base`."""
    visited, before, estimate = reading.visited, reading.before, reading.estimate
    if visited is None or estimate is None:
        return "stopped before the first images were evaluated"
    if not reading.exact:
        network = f"of the {base} network alone" if before is None else f"{base} {before.accuracy:.2%}"
        return f"{plus_minus(estimate)}, an estimate: stopped after {visited.total:,} test images, {network}"
    low, high = visited.interval
    exact = (
        f"{visited.accuracy:.2%} on {visited.total:,} test images (95 % confidence interval {low:.2%} to {high:.2%})"
    )
    if before is None or before is visited:
        return exact
    change = flips(before, visited)
    flipped = f"{change.lost:,} images lost, {change.won:,} won, McNemar test p = {change.p:.2g}"
    return f"{exact}, {base} {before.accuracy:.2%}\nchange    {flipped}"


def as_json(
    compressed: CompressedModel,
    model: FloatModel,
    count: Bytes,
    reading: Reading,
    smaller: SmallerForms,
    warnings: Sequence[str] = (),
) -> str:
    """Returns what `evaluate --json` prints: accuracies in 0..1, sizes in bytes, 95 % intervals.

    With `exact`, `accuracy` is that on all images that were asked for, and `interval` is Wilson's. Without, it was
    stopped after `images`, of which `correct` were classified correctly; accuracy and interval are estimates for all.
    For a checkpoint, `recognised` is its architecture, `tried` has the accuracy with each normalization, and `stated`
    has the accuracies that the file states, of which `stated_verdict` names the nearest to that of the float network;
    its `agreement` is `same`, `within` the 95 % interval, or `outside`. Of the sizes, `file` is
    the packed file, and `best` the same; `coded` is the file without its header; `dense` and `sparse` are in-memory
    sizes, and `in_memory` the smaller of these. `warnings` are sentences, see `inspect.warnings`.
    """
    visited, before, estimate = reading.visited, reading.before, reading.estimate
    whole = reading.whole
    change = flips(before, whole) if before and whole else None
    interval = whole.interval if whole else estimate and (estimate.low, estimate.high)
    values: dict[str, Any] = {
        "model": compressed.spec.model,
        "normalization": model.normalization.name,
        **_recognition_values(model, reading),
        "spec": json.loads(compressed.spec.to_json()),
        "evaluated": json.loads(reading.spec.to_json()),
        "exact": reading.exact,
        "images": reading.images,
        "correct": visited and visited.correct,
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
        "size_bytes": size_values(count),
        **as_values(smaller),
        "warnings": list(warnings),
    }
    return to_json(values)


def size_values(count: Bytes) -> dict[str, int]:
    """Returns the sizes for JSON, in bytes. `file` is the size of the network."""
    return {
        "float32": count.file.float32,
        "dense": count.memory.dense.total,
        "sparse": count.memory.sparse.total,
        "in_memory": count.memory.best.total,
        "coded": count.file.coded,
        "best": count.file.total,
        "file": count.file.total,
    }


def _recognition(model: FloatModel, reading: Reading) -> str:
    """Returns the lines on a checkpoint: its architecture, its normalization, and the accuracy that it states."""
    lines = ""
    if "recognised" in model.about:
        lines += f"network   {model.about['recognised']}\n"
    if choice := model.about.get("choice"):
        trials = (
            f"{each.normalization} {each.accuracy:.2%} "
            f"({'loss not finite' if each.loss is None else f'loss {each.loss:.4f}'}, {each.images:,} images)"
            for each in choice.trials
        )
        lines += f"tried     {', '.join(trials)}\nfound     {choice_in_words(choice)}\n"
        if not choice.is_certain:
            lines += "          --normalization NAME chooses another one.\n"
    if reading.before and (stated := compare_stated(model.about.get("accuracies", {}), reading.before)):
        lines += f"stated    {stated_in_words(stated, reading.before)}\n"
    return lines


def _recognition_values(model: FloatModel, reading: Reading) -> dict[str, Any]:
    """Returns the values on a checkpoint; those that it does not have are left out."""
    values: dict[str, Any] = {key: model.about[key] for key in ("recognised",) if key in model.about}
    if choice := model.about.get("choice"):
        values["tried"] = [dataclasses.asdict(each) for each in choice.trials]
        values["normalization_certain"] = choice.is_certain
        values["normalization_split"] = choice.split
        values["normalization_verdict"] = choice_in_words(choice)
    if accuracies := model.about.get("accuracies"):
        stated = reading.before and compare_stated(accuracies, reading.before)
        values["stated"] = accuracies
        values["stated_verdict"] = stated and {"name": stated.name, "agreement": stated.agreement}
    return values
