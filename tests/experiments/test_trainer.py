"""Training on workers: the same bits whatever dies, a queue, stop and resume, and a network that is found again."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from compression.data.cifar10 import TRAIN
from compression.data.images import ImageSet
from compression.engine.cluster import Engine
from compression.experiments.training import trainer as trainers
from compression.experiments.training.run_state import Run, Stage, TrainingReading
from compression.experiments.training.trainer import Trainer
from compression.files.packed_file import fingerprint, to_bytes
from compression.files.stored import compress_network
from compression.library import recovered
from compression.library.recovered import all_recovered, delete_recovered, load_recovered, save_recovered
from compression.networks.model import FloatModel
from compression.retraining.recipe import Recipe
from compression.retraining.run import recover
from compression.spec import CompressionSpec, PruneSpec, QuantSpec

SPEC = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.9))
SHORT = Recipe(steps=8, batch_size=16, held_out=32, points=2)
LONG = Recipe(steps=400, batch_size=64, held_out=64, points=4)
SECONDS = 90


@pytest.fixture(autouse=True)
def own_gallery(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recovered, "GALLERY", tmp_path / "gallery")


def images(count: int = 400) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 255, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(count) % 10, "made up", TRAIN)


def wait(trainer: Trainer, run: Run, until: Callable[[TrainingReading], bool]) -> TrainingReading:
    deadline = time.monotonic() + SECONDS
    while not until(reading := trainer.look(run)):
        assert time.monotonic() < deadline, reading
        time.sleep(0.02)
    return reading


def is_left(reading: TrainingReading) -> bool:
    return not reading.is_active


def expected(model: FloatModel, spec: CompressionSpec, recipe: Recipe) -> str:
    """Returns the fingerprint of the network of a run that nobody interrupts, in this process."""
    return fingerprint(recover(model, spec, recipe, images())[0].module)


def test_a_run_killed_three_times_ends_with_the_same_bits(
    here: Engine, simple_cnn: FloatModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice the worker dies that computes, and once the server with all that it has in memory."""
    monkeypatch.setattr(trainers, "SAVE_SECONDS", 0.0)
    spec = replace(SPEC, weights=QuantSpec(4))
    trainer = Trainer(here, tmp_path, images())
    run = trainer.run(simple_cnn, spec, LONG)
    trainer.start("one", run, simple_cnn)
    reading = trainer.look(run)
    for _ in range(2):
        step = reading.step
        reading = wait(trainer, run, lambda reading, step=step: reading.step > step)  # type: ignore[misc]
        for pid in here.worker_pids:
            os.kill(pid, signal.SIGKILL)
    step = reading.step
    wait(trainer, run, lambda reading: reading.step > step)
    trainer.stop(run)
    trainer = Trainer(here, tmp_path, images())
    reading = trainer.look(run)
    assert reading.stage in (Stage.STOPPED, Stage.ABSENT)
    assert 0 < reading.step < LONG.steps
    trainer.start("one", run, simple_cnn)
    reading = wait(trainer, run, is_left)
    assert (reading.stage, reading.error, reading.step) == (Stage.DONE, None, LONG.steps)
    assert reading.network
    network = load_recovered(reading.network, tmp_path)
    assert fingerprint(network.module) == expected(simple_cnn, spec, LONG)
    assert compress_network(network, CompressionSpec(network.name)).sparsity >= 0.9 - 1e-3
    assert not list((tmp_path / "training").iterdir())


def test_a_run_that_is_done_is_found_again_until_its_network_is_deleted(
    here: Engine, simple_cnn: FloatModel, tmp_path: Path
) -> None:
    trainer = Trainer(here, tmp_path, images())
    run = trainer.run(simple_cnn, SPEC, replace(SHORT, learning_rate=1e-6))
    assert trainer.look(run).stage is Stage.ABSENT
    trainer.start("one", run, simple_cnn)
    assert trainer.look(run).is_active
    done = wait(trainer, run, is_left)
    assert (done.stage, done.step, done.share, len(done.points)) == (Stage.DONE, 8, 1.0, 3)
    [each] = all_recovered(tmp_path)
    assert (each.name, each.lineage.steps, each.lineage.parent) == (done.network, 8, "simple_cnn")
    again = Trainer(here, tmp_path, images())
    assert again.look(again.run(simple_cnn, SPEC, replace(SHORT, learning_rate=1e-6))).network == done.network
    delete_recovered(each.name, tmp_path)
    for either in (trainer, again):
        assert either.look(run).stage is Stage.ABSENT


def test_a_run_that_ended_early_is_found_again_with_its_reason(
    here: Engine, simple_cnn: FloatModel, tmp_path: Path
) -> None:
    network, lineage = recover(simple_cnn, SPEC, SHORT, images())
    early = replace(lineage, steps=4, problem="the loss is nan")
    save_recovered("early", to_bytes(network, simple_cnn), early, tmp_path)
    trainer = Trainer(here, tmp_path, images())
    reading = trainer.look(trainer.run(simple_cnn, SPEC, SHORT))
    assert (reading.stage, reading.problem, reading.network) == (Stage.DONE, "the loss is nan", "early")
    assert (reading.step, reading.points) == (8, lineage.points)


def test_runs_wait_for_their_turn_and_a_session_has_one(here: Engine, simple_cnn: FloatModel, tmp_path: Path) -> None:
    trainer = Trainer(here, tmp_path, images())
    first, second = (trainer.run(simple_cnn, SPEC, replace(LONG, seed=seed)) for seed in (1, 2))
    assert first.name != second.name
    trainer.start("one", first, simple_cnn)
    trainer.start("two", second, simple_cnn)
    trainer.start("three", first, simple_cnn)  # the same run is shared
    with pytest.raises(ValueError, match="another training of this session is not done yet"):
        trainer.start("one", second, simple_cnn)
    assert (trainer.look(first).place, trainer.look(second).place) == (0, 1)
    wait(trainer, first, lambda reading: reading.stage is Stage.RUNNING)
    assert trainer.look(second).stage is Stage.WAITING
    trainer.stop(first)
    wait(trainer, first, is_left)
    assert trainer.look(second).place == 0
    trainer.stop(second)
    assert trainer.look(second).stage in (Stage.STOPPED, Stage.RUNNING)
    wait(trainer, second, is_left)


def test_a_run_that_is_stopped_keeps_the_best_so_far_and_is_resumed(
    here: Engine, simple_cnn: FloatModel, tmp_path: Path, training_images: ImageSet
) -> None:
    recipe = Recipe(epochs=3.0, held_out=200, points=30)
    trainer = Trainer(here, tmp_path, training_images[:1500])
    run = trainer.run(simple_cnn, SPEC, recipe)
    trainer.start("one", run, simple_cnn)
    wait(trainer, run, lambda each: any(point.correct > each.points[0].correct for point in each.points))
    trainer.stop(run)
    reading = wait(trainer, run, is_left)
    assert reading.stage is Stage.STOPPED
    assert reading.step < run.total
    assert reading.network
    best = max(point.correct for point in reading.points)
    assert recovered.find_recovered(reading.network, tmp_path).lineage.after.correct == best  # type: ignore[union-attr]
    trainer.start("one", run, simple_cnn)
    assert wait(trainer, run, is_left).stage is Stage.DONE


def test_a_full_disk_is_a_sentence_and_the_run_goes_on_later(
    here: Engine, simple_cnn: FloatModel, tmp_path: Path, room_for: Callable[[int], None]
) -> None:
    trainer = Trainer(here, tmp_path, images())
    run = trainer.run(simple_cnn, SPEC, replace(SHORT, learning_rate=1e-6))
    room_for(100_000)
    trainer.start("one", run, simple_cnn)
    reading = wait(trainer, run, is_left)
    assert reading.stage is Stage.STOPPED
    assert reading.error
    assert reading.error.startswith("the training cannot be saved (")
    assert not list((tmp_path / "training").iterdir())
    room_for(1 << 40)
    trainer.start("one", run, simple_cnn)
    assert wait(trainer, run, is_left).stage is Stage.DONE


def test_what_fails_on_a_worker_stops_the_run_with_its_reason(
    here: Engine, simple_cnn: FloatModel, tmp_path: Path
) -> None:
    trainer = Trainer(here, tmp_path, images(40))
    with pytest.raises(ValueError, match="nothing to recover from"):
        trainer.run(simple_cnn, CompressionSpec("simple_cnn"), SHORT)
    run = trainer.run(simple_cnn, replace(SPEC, prune=PruneSpec(structure="n:m", pattern=(7, 8))), SHORT)
    trainer.start("one", run, simple_cnn)
    reading = wait(trainer, run, is_left)
    assert reading.stage is Stage.STOPPED
    assert reading.error
    assert "40 training images are too few" in reading.error


def test_a_damaged_saved_state_is_a_sentence(here: Engine, simple_cnn: FloatModel, tmp_path: Path) -> None:
    trainer = Trainer(here, tmp_path, images())
    run = trainer.run(simple_cnn, SPEC, SHORT)
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / f"{run.name}.pt").write_bytes(b"\0" * 100)
    reading = trainer.look(run)
    assert reading.stage is Stage.ABSENT
    assert reading.error == "the saved training is damaged; move it away to start a new run"


def test_a_recovered_network_is_trained_on_with_its_codes_and_its_zeros(
    here: Engine, simple_cnn: FloatModel, tmp_path: Path
) -> None:
    recipe = replace(SHORT, learning_rate=1e-6)
    trainer = Trainer(here, tmp_path, images())
    spec = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.9), QuantSpec(3))
    run = trainer.run(simple_cnn, spec, recipe)
    trainer.start("one", run, simple_cnn)
    parent = load_recovered(wait(trainer, run, is_left).network or "", tmp_path)
    on = trainer.run(parent, CompressionSpec(parent.name), recipe)
    assert on.spec == replace(spec, model=parent.name)
    trainer.start("one", on, parent)
    reading = wait(trainer, on, is_left)
    child = load_recovered(reading.network or "", tmp_path)
    lineage = next(each.lineage for each in all_recovered(tmp_path) if each.name == child.name)
    assert (lineage.parent, lineage.digest) == (parent.name, parent.digest)
    assert child.name.startswith("simple_cnn-3-bits")
    assert child.compressed.nonzero <= 0.1 * child.compressed.weights + 1
    assert lineage.before.correct == recovered.find_recovered(parent.name, tmp_path).lineage.after.correct  # type: ignore[union-attr]
