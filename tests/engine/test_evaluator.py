"""The evaluator: predictions of a plain loop, whichever process dies and whoever asks, and no image evaluated twice."""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from compression.core.compress import compress
from compression.data.images import ImageSet
from compression.engine import watchers, workers
from compression.engine.cluster import Engine
from compression.engine.evaluation_state import LATER_TASK_CHUNKS
from compression.engine.evaluator import FIRST_CHUNKS, Evaluator
from compression.engine.tasks import evaluate_rows
from compression.errors import EngineError
from compression.evaluation.evaluation import BATCH, Evaluation, evaluate
from compression.evaluation.reading import Reading
from compression.evaluation.sampling import visiting_order
from compression.networks.bundled import load_bundled
from compression.networks.model import FloatModel, freeze_
from compression.results.store import Store
from compression.spec import CompressionSpec, PruneSpec, QuantSpec

SECONDS = 120
KILLS = 5  # a worker that is started again imports torch, which takes seconds
FLOAT = CompressionSpec("simple_cnn")
FOUR_BITS = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.3), QuantSpec(4))
Factory = Callable[..., Evaluator]


@pytest.fixture
def evaluator(here: Engine, test_images: ImageSet, tmp_path: Path) -> Factory:
    """Makes evaluators, by default of the engine that tests share, of the first 2,000 images, with an empty store."""
    here.drop(here.pending)
    return lambda engine=here, images=2_000, store=tmp_path / "results.sqlite": Evaluator(
        engine, Store(store), test_images[:images]
    )


def evaluate_here(model: FloatModel, spec: CompressionSpec, images: ImageSet) -> Evaluation:
    return evaluate(compress(model.module, spec).module, images, model.normalization)


def until(look: Callable[[], Reading], enough: Callable[[Reading], bool]) -> Reading:
    deadline = time.monotonic() + SECONDS
    while not enough(reading := look()):
        assert time.monotonic() < deadline, f"{reading.images} of {reading.total} images; {reading.notice}"
        assert reading.error is None
        time.sleep(0.02)
    return reading


# ---- the numbers


@pytest.mark.parametrize("spec", [FLOAT, FOUR_BITS, CompressionSpec("simple_cnn", fold_bn=True)], ids=str)
def test_all_images_get_the_predictions_of_a_plain_loop(evaluator, simple_cnn, test_images, spec):
    evaluation, expected = evaluator().evaluate(simple_cnn, spec), evaluate_here(simple_cnn, spec, test_images[:2_000])
    assert torch.equal(evaluation.predictions, expected.predictions)
    assert torch.equal(evaluation.labels, expected.labels)
    assert (evaluation.correct, evaluation.in_top5) == (expected.correct, expected.in_top5)
    assert evaluation.loss == pytest.approx(expected.loss)


def test_images_of_an_incomplete_chunk_are_evaluated_too(evaluator, simple_cnn, test_images):
    evaluation = evaluator(images=2 * BATCH + 1).evaluate(simple_cnn, FOUR_BITS)
    expected = evaluate_here(simple_cnn, FOUR_BITS, test_images[: 2 * BATCH + 1])
    assert torch.equal(evaluation.predictions, expected.predictions)


def test_readings_are_estimates_from_the_first_images_of_the_float_networks_order(evaluator, simple_cnn, test_images):
    here = evaluator()
    before = here.evaluate(simple_cnn, FLOAT)
    everything = evaluate_here(simple_cnn, FOUR_BITS, test_images[:2_000])
    order = visiting_order(before)
    readings = [reading for reading in here.follow(simple_cnn, FOUR_BITS) if reading.images]
    for reading in readings[:-1]:
        rows = order.rows[: reading.images]
        assert torch.equal(reading.visited.predictions, everything.predictions[rows])
        assert reading.before is before
        assert reading.estimate.images == reading.images < reading.total
        assert reading.estimate.low < reading.estimate.accuracy < reading.estimate.high
    assert len(readings) > 1
    assert [reading.images for reading in readings] == sorted(reading.images for reading in readings)
    assert readings[-1].estimate.accuracy == readings[-1].estimate.low == everything.accuracy
    assert set(readings[-1].class_estimates) == set(everything.per_class)


def test_without_a_float_evaluation_there_is_a_number_at_once_and_the_float_network_follows(
    evaluator, simple_cnn, test_images
):
    here = evaluator(images=2_500)
    first = until(lambda: here.look("me", simple_cnn, FOUR_BITS), lambda reading: reading.images > 0)
    assert first.before is None
    assert first.images <= FIRST_CHUNKS * BATCH
    assert torch.equal(first.visited.labels, test_images.labels[: first.images])
    last = until(lambda: here.look("me", simple_cnn, FOUR_BITS), lambda reading: reading.exact)
    assert last.before.total == 2_500
    assert torch.equal(last.visited.predictions, evaluate_here(simple_cnn, FOUR_BITS, test_images[:2_500]).predictions)


def test_the_same_name_on_other_weights_is_another_network(evaluator, simple_cnn, test_images):
    here = evaluator(images=500)
    first = here.evaluate(simple_cnn, FLOAT)
    torch.manual_seed(0)
    module = type(simple_cnn.module)()
    other = FloatModel("simple_cnn", freeze_(module), simple_cnn.normalization)
    assert not torch.equal(here.evaluate(other, FLOAT).predictions, first.predictions)


# ---- a network that takes long to make


def test_workers_evaluate_the_network_that_they_are_given(evaluator, simple_cnn, test_images):
    """They keep networks by their specs, so this spec is of no other test."""
    here, network = evaluator(images=500), compress(simple_cnn.module, CompressionSpec("m", weights=QuantSpec(2)))
    own = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.123), QuantSpec(7))
    *_, last = here.follow(simple_cnn, own, compressed=lambda: network)
    expected = evaluate(network.module, test_images[:500], simple_cnn.normalization)
    assert torch.equal(last.whole.predictions, expected.predictions)  # those of two bits: no worker compressed again
    before = here.evaluate(simple_cnn, FLOAT)
    assert torch.equal(before.predictions, evaluate_here(simple_cnn, FLOAT, test_images[:500]).predictions)


def test_nothing_is_asked_until_the_network_is_there_and_an_error_is_told(evaluator, simple_cnn):
    here = evaluator(images=500)
    here.evaluate(simple_cnn, FLOAT)
    reading = here.look("me", simple_cnn, FOUR_BITS, compressed=lambda: None)
    assert (reading.images, reading.error, here._engine.pending) == (0, None, [])

    def fail() -> None:
        raise EngineError("there are no images")

    assert here.look("me", simple_cnn, FOUR_BITS, compressed=fail).error == "there are no images"


# ---- nothing is evaluated twice


def test_a_stored_evaluation_is_there_at_once_in_the_next_process(evaluator, simple_cnn):
    before, evaluation = (evaluator(images=500).evaluate(simple_cnn, spec) for spec in (FLOAT, FOUR_BITS))
    nobody = Engine(address="", workers=1)
    reading = evaluator(engine=nobody, images=500).look("me", simple_cnn, FOUR_BITS)
    assert reading.exact
    assert torch.equal(reading.visited.predictions, evaluation.predictions)
    assert torch.equal(reading.before.predictions, before.predictions)
    assert nobody.worker_pids == []


def test_two_people_who_look_at_the_same_spec_share_its_images(evaluator, simple_cnn, here):
    both = evaluator()
    both.evaluate(simple_cnn, FLOAT)
    until(lambda: both.look("one", simple_cnn, FOUR_BITS), lambda reading: reading.images > 0)
    tasks = len(here.pending)
    assert both.look("two", simple_cnn, FOUR_BITS).images > 0
    assert len(here.pending) <= tasks


def test_an_evaluation_that_nobody_watches_rests(evaluator, simple_cnn, here):
    both = evaluator(images=10_000)
    both.evaluate(simple_cnn, FLOAT)
    other = CompressionSpec("simple_cnn", weights=QuantSpec(3))
    both.look("one", simple_cnn, FOUR_BITS)
    both.look("two", simple_cnn, FOUR_BITS)
    tasks = set(here.pending)
    assert tasks
    both.look("one", simple_cnn, other)
    assert tasks <= set(here.pending)
    both.look("two", simple_cnn, other)
    assert not tasks & set(here.pending)
    assert here.pending


def test_evaluations_in_the_background_have_larger_tasks_and_can_become_urgent(
    evaluator, simple_cnn, here, test_images
):
    mine = evaluator()
    mine.evaluate(simple_cnn, FLOAT)
    mine.look("a sweep", simple_cnn, FOUR_BITS, urgent=False)
    assert len(here.pending) == 2_000 // BATCH // LATER_TASK_CHUNKS
    last = until(lambda: mine.look("me", simple_cnn, FOUR_BITS), lambda reading: reading.exact)
    assert not here.pending
    expected = evaluate_here(simple_cnn, FOUR_BITS, test_images[:2_000])
    assert torch.equal(last.visited.predictions, expected.predictions)


def test_a_stopped_evaluation_keeps_its_images_and_continues(evaluator, simple_cnn, here):
    mine = evaluator(images=10_000)
    mine.evaluate(simple_cnn, FLOAT)
    until(lambda: mine.look("me", simple_cnn, FOUR_BITS), lambda reading: reading.images >= 500)
    paused = mine.look("me", simple_cnn, FOUR_BITS, go=False)
    assert not here.pending
    time.sleep(0.5)
    assert mine.look("me", simple_cnn, FOUR_BITS, go=False).images == paused.images
    assert mine.look("me", simple_cnn, FOUR_BITS).images >= paused.images
    assert mine.look("me", simple_cnn, FOUR_BITS).seconds_left is not None


def test_results_are_there_even_if_they_cannot_be_stored(evaluator, simple_cnn, tmp_path):
    (tmp_path / "file").write_text("no folder")
    mine = evaluator(images=500, store=tmp_path / "file" / "results.sqlite")
    *_, last = mine.follow(simple_cnn, FOUR_BITS)
    assert last.exact
    assert "cannot be kept" in last.notice
    assert mine.look("me", simple_cnn, FOUR_BITS).exact


def test_a_reading_reports_an_outdated_landscape(evaluator, simple_cnn, test_images, tmp_path, monkeypatch):
    monkeypatch.setattr("compression.results.landscape.arithmetic", lambda *_, **__: "other code")
    store = Store(tmp_path / "empty.sqlite")
    nobody = Engine(address="")
    reading = Evaluator(nobody, store, test_images, use_landscape=True).look("me", simple_cnn, FOUR_BITS, go=False)
    assert reading.notice.startswith("The committed landscape of simple_cnn")
    assert Evaluator(nobody, store, test_images).look("me", simple_cnn, FOUR_BITS, go=False).notice is None
    nobody.close()


def test_a_reading_reports_workers_that_cannot_start(evaluator, simple_cnn):
    engine = Engine(address="", workers=1, preload=["no_module_of_this_name"])
    mine = evaluator(engine=engine, images=500)
    reading = until(lambda: mine.look("me", simple_cnn, FOUR_BITS), lambda reading: bool(reading.notice))
    assert reading.notice == (
        "The processes that compute cannot start on this machine: "
        "ModuleNotFoundError: No module named 'no_module_of_this_name'"
    )
    engine.close()


def test_a_reading_reports_workers_that_never_become_ready(evaluator, simple_cnn, monkeypatch, tmp_path):
    (tmp_path / "sleeps_for_ever.py").write_text(
        "import sys, time; print('I wait', file=sys.stderr, flush=True); time.sleep(1e6)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("compression.engine.workers.SLOW_SECONDS", 3.0)
    engine = Engine(address="", workers=1, preload=["sleeps_for_ever"])
    mine = evaluator(engine=engine, images=500)
    words = lambda reading: "The processes that compute have not started after" in (reading.notice or "")
    reading = until(
        lambda: mine.look("me", simple_cnn, FOUR_BITS), lambda each: words(each) and "I wait" in (each.notice or "")
    )
    assert not reading.error
    assert mine.look("me", simple_cnn, FOUR_BITS, go=False).images == 0
    engine.close()


def test_a_network_that_nobody_looks_at_any_more_leaves_no_task(evaluator, simple_cnn):
    engine = Engine(address="", workers=1, preload=["no_module_of_this_name"])
    mine, other = evaluator(engine=engine, images=500), load_bundled("cnn3")
    mine.look("me", simple_cnn, FOUR_BITS)
    assert {task.arguments[0].value.digest for task in engine._tasks.values()} == {simple_cnn.digest}
    mine.look("me", other, CompressionSpec("cnn3", weights=QuantSpec(4)))
    assert {task.arguments[0].value.digest for task in engine._tasks.values()} == {other.digest}
    engine.close()


def test_one_start_that_ends_by_itself_is_enough_for_a_report(tmp_path):
    process = workers._Process([sys.executable, "-c", "raise SystemExit('no room')"], tmp_path / "worker")
    process.tend()
    assert process.running
    process.running.wait()
    process.tend()
    assert process.problem == "cannot start on this machine: no room"


def test_one_start_that_a_signal_ends_is_not_reported(tmp_path):
    process = workers._Process([sys.executable, "-c", "import time; time.sleep(1e6)"], tmp_path / "worker")
    process.tend()
    assert process.running
    process.running.terminate()
    process.running.wait()
    process.tend()
    assert process.problem is None
    process.kill()


def test_a_slow_start_is_reported_with_what_the_process_complains_of_and_nothing_else(tmp_path):
    process = workers._Process([sys.executable, "-c", "import time; time.sleep(1e6)"], tmp_path / "worker")
    process.tend()
    process.started_at -= workers.SLOW_SECONDS
    for line, reason in (
        ("", "the machine may be busy"),
        ("2026-11-30 02:22:53,358 - distributed.preloading - INFO - Import preload module", "the machine may be busy"),
        ("2026-11-30 02:22:53,358 - distributed.worker - ERROR - no room", "ERROR - no room"),
    ):
        process.log.write_text(line)
        assert process.problem.startswith("have not started after 8 seconds: ")
        assert process.problem.endswith(reason)
        assert "INFO" not in process.problem
    process.kill()


def test_a_reading_reports_a_missing_folder_for_workers(evaluator, simple_cnn, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    engine = Engine(address="", workers=1)
    mine = evaluator(engine=engine, images=500)
    assert "cannot start on this machine: [Errno 2]" in mine.look("me", simple_cnn, FOUR_BITS).notice
    monkeypatch.undo()
    until(lambda: mine.look("me", simple_cnn, FOUR_BITS), lambda reading: reading.notice is None and reading.exact)
    engine.close()


def test_what_nobody_has_looked_at_for_a_minute_rests_when_tidied_up(evaluator, simple_cnn, here, monkeypatch):
    mine = evaluator()
    until(lambda: mine.look("me", simple_cnn, FOUR_BITS), lambda reading: here.pending != [])
    mine.tidy()
    assert here.pending
    with monkeypatch.context() as patched:
        patched.setattr(watchers, "FORGET_SECONDS", 0)
        mine.tidy()
    assert here.pending == []
    assert mine.evaluate(simple_cnn, FOUR_BITS).total == 2_000


# ---- processes that die, and clusters


def test_kills_of_workers_change_no_prediction(evaluator, simple_cnn, test_images):
    engine = Engine(address="", workers=2, preload=["compression.engine.tasks"])
    mine = evaluator(engine=engine, images=4_000)
    chance, kills, next_kill = random.Random(0), 0, 0.0
    for percent in range(99):
        spec = CompressionSpec("simple_cnn", PruneSpec(sparsity=percent / 100))
        for reading in mine.follow(simple_cnn, spec):
            alive = engine.worker_pids
            if kills < KILLS and alive and reading.images and not reading.exact and time.monotonic() > next_kill:
                os.kill(chance.choice(alive), signal.SIGKILL)
                kills, next_kill = kills + 1, time.monotonic() + chance.uniform(0.2, 0.8)
        expected = evaluate_here(simple_cnn, spec, test_images[:4_000])
        assert torch.equal(reading.visited.predictions, expected.predictions)
        if kills == KILLS:
            break
    engine.close()
    assert kills == KILLS


def test_the_workers_of_a_cluster_predict_what_a_plain_loop_predicts(
    evaluator, simple_cnn, test_images, here, tmp_path
):
    """The images travel to them. The cluster is that of the engine that tests share, under its address."""
    evaluator().evaluate(simple_cnn, FLOAT)  # starts it
    engine = Engine(address=here._workers.address)
    evaluation = evaluator(engine=engine, store=tmp_path / "of the cluster").evaluate(simple_cnn, FOUR_BITS)
    assert not engine.local
    assert engine.worker_pids == []
    engine.close()
    assert torch.equal(evaluation.predictions, evaluate_here(simple_cnn, FOUR_BITS, test_images[:2_000]).predictions)


def test_a_worker_of_another_version_refuses(simple_cnn, test_images):
    with pytest.raises(RuntimeError, match="runs another version of this laboratory"):
        evaluate_rows(simple_cnn, FLOAT, test_images.labels[:2].numpy().astype("uint16"), "another", test_images)


def test_a_failure_on_a_worker_is_reported_and_other_specs_go_on(evaluator, simple_cnn):
    mine = evaluator()
    mine.evaluate(simple_cnn, FLOAT)
    spec = CompressionSpec("simple_cnn", layers=())
    object.__setattr__(spec, "weights", "nonsense")
    with pytest.raises(EngineError, match="attribute"):
        list(mine.follow(simple_cnn, spec))
    assert mine.evaluate(simple_cnn, FOUR_BITS).total == 2_000
