"""All known results of a network: those of the store, and those of the committed landscape."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from compression.data.cifar10 import TEST
from compression.data.images import ImageSet
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.subsets import first
from compression.networks.model import FloatModel
from compression.results.costs import Costs
from compression.results.known import known_results
from compression.results.landscape import write_landscape
from compression.results.result import Result
from compression.results.store import Key, Store
from compression.spec import CompressionSpec, PruneSpec, QuantSpec

LABELS = torch.arange(20) % 10
IMAGES = ImageSet(torch.zeros(20, *TEST.shape, dtype=torch.uint8), LABELS, "made up", TEST)
FLOAT, FOUR, HALF = (
    CompressionSpec("simple_cnn"),
    CompressionSpec("simple_cnn", weights=QuantSpec(4)),
    CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5)),
)


def result(spec: CompressionSpec, wrong: int, file: int = 900) -> Result:
    predictions = LABELS.clone()
    predictions[:wrong] = (predictions[:wrong] + 1) % 10
    evaluation = Evaluation(predictions.to(torch.uint8), LABELS, TEST.classes, 20, 1.5, torch.ones(20))
    return Result(spec, Costs(1000, 500, 4000, 1000, 800, 700, file, 5000, 80000), evaluation)


def keep(results_store: Store, model: FloatModel, each: Result) -> None:
    key = Key.of(model, each.spec)
    results_store.put(key, each.evaluation)
    results_store.put_costs(key, each.costs)


@pytest.fixture
def results_store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results.sqlite")


def test_kept_results_are_listed_unchanged(results_store, simple_cnn):
    results = [result(FLOAT, 0), result(FOUR, 3, 500), result(HALF, 5, 700)]
    for each in results:
        keep(results_store, simple_cnn, each)
    rows = results_store.results(simple_cnn, IMAGES)
    assert results_store.count(simple_cnn) == 3
    assert [(each.spec, each.costs) for each in rows] == [(each.spec, each.costs) for each in results]
    for one, other in zip(rows, results, strict=True):
        assert torch.equal(one.evaluation.predictions, other.evaluation.predictions)
        assert one.evaluation.loss_sum == 1.5


def test_by_another_name_the_same_weights_have_the_same_results(results_store, simple_cnn):
    keep(results_store, simple_cnn, result(FOUR, 3))
    (known,) = results_store.results(replace(simple_cnn, name="other"), IMAGES)
    assert known.spec == replace(FOUR, model="other")


def test_incomplete_damaged_and_foreign_rows_are_not_listed(results_store, simple_cnn, monkeypatch):
    keep(results_store, simple_cnn, result(FLOAT, 0))
    results_store.put(Key.of(simple_cnn, FOUR), result(FOUR, 3).evaluation)  # not counted
    results_store.put_costs(Key.of(simple_cnn, HALF), result(HALF, 5).costs)  # not evaluated
    fewer = replace(Key.of(simple_cnn, HALF), data=first(20))
    results_store.put(fewer, result(HALF, 5).evaluation)  # on fewer images
    assert [each.spec for each in results_store.results(simple_cnn, IMAGES)] == [FLOAT]
    assert results_store.results(simple_cnn, IMAGES[:10]) == []
    with sqlite3.connect(results_store.path) as connection:
        connection.execute("UPDATE results SET correct = 3")
    assert results_store.results(simple_cnn, IMAGES) == []
    keep(results_store, simple_cnn, result(FLOAT, 0))
    monkeypatch.setattr("compression.results.store.arithmetic", lambda: "another")
    assert results_store.results(simple_cnn, IMAGES) == []
    assert results_store.count(simple_cnn) == 0


def test_reading_creates_no_file(results_store, simple_cnn):
    assert results_store.results(simple_cnn, IMAGES) == []
    assert results_store.count(simple_cnn) == 0
    assert not results_store.path.exists()


def test_a_result_of_this_machine_replaces_a_committed_one(results_store, simple_cnn, tmp_path):
    write_landscape(simple_cnn, [result(FLOAT, 1), result(FOUR, 4)], tmp_path)
    keep(results_store, simple_cnn, result(FOUR, 3))
    keep(results_store, simple_cnn, result(HALF, 5))
    results = known_results(simple_cnn, results_store, IMAGES, tmp_path)
    assert {point.spec: (point.correct, point.precomputed) for point in results.points} == {
        FLOAT: (19, True),
        FOUR: (17, False),
        HALF: (15, False),
    }
    assert results.before.correct == 19
    assert all(results.results[point.spec].evaluation.correct == point.correct for point in results.points)


def test_a_stale_landscape_gives_a_notice(results_store, simple_cnn, tmp_path):
    assert known_results(simple_cnn, results_store, IMAGES, tmp_path / "nowhere").notice is None
    (tmp_path / "simple_cnn.parquet").write_bytes(b"not a landscape")
    assert "cannot be read" in known_results(simple_cnn, results_store, IMAGES, tmp_path).notice


def test_without_images_only_committed_results_are_known(results_store, simple_cnn, tmp_path):
    write_landscape(simple_cnn, [result(FLOAT, 1)], tmp_path)
    keep(results_store, simple_cnn, result(HALF, 5))
    results = known_results(simple_cnn, results_store, None, tmp_path)
    assert [(point.spec, point.precomputed) for point in results.points] == [(FLOAT, True)]
    assert known_results(simple_cnn, results_store, None, tmp_path / "nowhere").points == ()
