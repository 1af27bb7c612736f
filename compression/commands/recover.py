"""`recover`: trains a compressed network, writes its packed file, and measures the accuracy of that file."""

import argparse
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from compression.commands.shared.file_formats import write, write_packed
from compression.commands.shared.inputs import image_count, network_and_spec
from compression.commands.shared.json_text import to_json
from compression.commands.shared.progress import end, follow_images, follow_share, show_steps
from compression.core.record import CompressedModel
from compression.data.cifar10 import TEST, TRAIN
from compression.data.images import ImageSet, load
from compression.engine.cluster import engine
from compression.engine.evaluator import Evaluator
from compression.evaluation.reading import Reading
from compression.experiments.sweeper import Sweeper
from compression.files.exported import load_exported
from compression.library.catalog import base_word, load_network
from compression.networks.model import FloatModel
from compression.paths import DATA
from compression.results.store import Store
from compression.retraining.lineage import Lineage
from compression.retraining.recipe import Recipe
from compression.retraining.run import recover
from compression.retraining.start import choose_teacher, whole_spec
from compression.retraining.training import Training
from compression.spec import CompressionSpec

RECIPE = (
    *("epochs", "optimizer", "learning_rate", "rate_schedule", "weight_penalty", "weight_decay"),
    *("quantizers", "sparsity_schedule", "distillation", "bit_penalty", "precision"),
)

PACKED, STATE = ".safetensors", ".state.safetensors"


def run(options: argparse.Namespace) -> None:
    """Prints what training wins. Killed, it resumes; after Ctrl-C it goes on with the best network so far.

    Raises ValueError for options that do not fit, before anything is trained.
    """
    path: Path = options.out
    if not path.name.endswith(PACKED) or path.name.endswith(STATE):
        raise ValueError(f"the name of --out must end in {PACKED} and not in {STATE}, got {path.name!r}")
    model, spec = network_and_spec(options)
    recipe = recipe_of(options)
    if options.teacher and not recipe.distillation:
        raise ValueError("--teacher is the network to distil from: add --distillation")
    count = image_count(options.training_images, split=TRAIN, option="--training-images")
    teacher = load_network(options.teacher) if options.teacher else None
    choose_teacher(model, whole_spec(model, spec), recipe, teacher)
    test, images = load(TEST), load(TRAIN)[:count]
    checkpoint = _checkpoint(model, spec, recipe, len(images), teacher)
    network, lineage = _train(model, spec, recipe, images, checkpoint, teacher)
    packed = write_packed(network, model, path)
    name = path.name.removesuffix(PACKED)
    beside = path.with_name(f"{name}.lineage.json")
    write(beside, lineage.to_json().encode())
    if lineage.steps == recipe.total_steps(len(images)):
        checkpoint.unlink(missing_ok=True)
    before, after = _evaluate(model, spec, load_exported(path.read_bytes(), path.name, name), test)
    if after.whole and len(test) == TEST.images:
        write(beside, replace(lineage, accuracy=after.whole.accuracy).to_json().encode())
    values = {
        "file": str(path),
        "lineage": str(beside),
        "bytes": packed.values["bytes"],
        "spec": json.loads(spec.to_json()),
        "recipe": json.loads(recipe.to_json()),
        "steps": lineage.steps,
        "epochs": lineage.epochs,
        "seconds": lineage.seconds,
        "problem": lineage.problem or None,
        "held_out": {"images": lineage.after.total, "before": lineage.before.accuracy, "after": lineage.after.accuracy},
        "float_accuracy": before.before and before.before.accuracy,
        "accuracy_before": before.whole and before.whole.accuracy,
        "accuracy": after.whole and after.whole.accuracy,
        "interval": after.whole and after.whole.interval,
        "images": len(test),
        "exact": after.exact,
    }
    print(to_json(values) if options.json else _in_words(values, base_word(model)))
    end(after.notice, before.exact and after.exact)


def recipe_of(options: argparse.Namespace) -> Recipe:
    """Returns the recipe that the options say. Raises ValueError."""
    given = {name: value for name in RECIPE if (value := getattr(options, name)) is not None}
    return Recipe(**given, bit_schedule=_bit_schedule(options.bit_schedule), seed=options.training_seed)


def _bit_schedule(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(bits) for bits in text.split(",") if text)
    except ValueError:
        raise ValueError(f"--bit-schedule must be whole numbers with commas, such as 32,4,3, got {text!r}") from None


def _checkpoint(
    model: FloatModel, spec: CompressionSpec, recipe: Recipe, images: int, teacher: FloatModel | None
) -> Path:
    """Returns where the run is saved until its file is written."""
    what = f"{model.digest} {spec.to_json()} {recipe.to_json()} {images}" + (f" {teacher.digest}" if teacher else "")
    return DATA / "training" / f"recover-{hashlib.sha256(what.encode()).hexdigest()[:16]}.pt"


def _train(
    model: FloatModel,
    spec: CompressionSpec,
    recipe: Recipe,
    images: ImageSet,
    checkpoint: Path,
    teacher: FloatModel | None,
) -> tuple[CompressedModel, Lineage]:
    """Returns the trained network and its lineage, with a bar of the steps."""
    with tqdm(desc="training", unit="step", total=recipe.total_steps(len(images)), leave=False) as bar:

        def show(training: Training) -> None:
            show_steps(bar, training.step, f"{training.points[-1].accuracy:.1%} of held-out training images")

        return recover(model, spec, recipe, images, checkpoint, show, teacher)


def _evaluate(model: FloatModel, spec: CompressionSpec, trained: FloatModel, test: ImageSet) -> tuple[Reading, Reading]:
    """Returns what is known of the network before training and of the trained one, with bars.

    The costs of the trained network are counted and stored as well, with which it is a point of Trade-offs.
    """
    store, as_it_is = Store(), CompressionSpec(trained.name)
    evaluator = Evaluator(engine(), store, test, use_landscape=True)
    before = follow_images(evaluator.follow(model, spec), len(test), "before training")
    after = follow_images(evaluator.follow(trained, as_it_is), len(test), "trained")
    if after.exact:
        follow_share(Sweeper(engine(), store, evaluator).follow({trained.name: trained}, [as_it_is]), "costs")
    return before, after


def _in_words(values: dict[str, Any], base: str) -> str:
    """Returns what `recover` prints. `base`: what the network before any settings is called."""
    held_out = values["held_out"]
    problem = f"problem   {values['problem']}\n" if values["problem"] else ""
    names = {base: "float_accuracy", "before": "accuracy_before", "trained": "accuracy"}
    known = ", ".join(f"{name} {values[key]:.2%}" for name, key in names.items() if values[key] is not None)
    return (
        f"{values['file']}\n"
        f"bytes     {values['bytes']:,}\n"
        f"trained   {values['steps']:,} steps, {values['epochs']:.2f} epochs, {values['seconds']:.0f} s\n"
        f"{problem}"
        f"held out  {held_out['before']:.2%} before, {held_out['after']:.2%} trained, of {held_out['images']:,}\n"
        f"          training images, which the {base} network may have been trained on\n"
        f"accuracy  {known or 'stopped before all images were evaluated'}, on {values['images']:,} test images\n"
        f"lineage   {values['lineage']}"
    )
