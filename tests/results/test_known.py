"""What is kept of a network, listed; with what was measured beforehand."""

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
from compression.results import store
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


def keep(kept: Store, model: FloatModel, each: Result) -> None:
    key = Key.of(model, each.spec)
    kept.put(key, each.evaluation)
    kept.put_costs(key, each.costs)


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(tmp_path / "results.sqlite")


def test_what_was_kept_is_listed_as_it_was(kept, simple_cnn):
    results = [result(FLOAT, 0), result(FOUR, 3, 500), result(HALF, 5, 700)]
    for each in results:
        keep(kept, simple_cnn, each)
    found = kept.results(simple_cnn, IMAGES)
    assert kept.count(simple_cnn) == 3
    assert [(each.spec, each.costs) for each in found] == [(each.spec, each.costs) for each in results]
    for one, other in zip(found, results, strict=True):
        assert torch.equal(one.evaluation.predictions, other.evaluation.predictions)
        assert one.evaluation.loss_sum == 1.5


def test_by_another_name_the_same_weights_have_the_same_results(kept, simple_cnn):
    keep(kept, simple_cnn, result(FOUR, 3))
    (found,) = kept.results(replace(simple_cnn, name="other"), IMAGES)
    assert found.spec == replace(FOUR, model="other")


def test_what_is_half_known_damaged_or_of_something_else_is_not_listed(kept, simple_cnn, monkeypatch):
    keep(kept, simple_cnn, result(FLOAT, 0))
    kept.put(Key.of(simple_cnn, FOUR), result(FOUR, 3).evaluation)  # not counted
    kept.put_costs(Key.of(simple_cnn, HALF), result(HALF, 5).costs)  # not evaluated
    fewer = replace(Key.of(simple_cnn, HALF), data=first(20))
    kept.put(fewer, result(HALF, 5).evaluation)  # on fewer images
    assert [each.spec for each in kept.results(simple_cnn, IMAGES)] == [FLOAT]
    assert kept.results(simple_cnn, IMAGES[:10]) == []
    with sqlite3.connect(kept.path) as connection:
        connection.execute("UPDATE results SET correct = 3")
    assert kept.results(simple_cnn, IMAGES) == []
    keep(kept, simple_cnn, result(FLOAT, 0))
    monkeypatch.setattr(store, "arithmetic", lambda: "another")
    assert kept.results(simple_cnn, IMAGES) == []
    assert kept.count(simple_cnn) == 0


def test_no_file_is_made_by_looking(kept, simple_cnn):
    assert kept.results(simple_cnn, IMAGES) == []
    assert kept.count(simple_cnn) == 0
    assert not kept.path.exists()


def test_what_was_measured_here_goes_before_what_was_measured_beforehand(kept, simple_cnn, tmp_path):
    write_landscape(simple_cnn, [result(FLOAT, 1), result(FOUR, 4)], tmp_path)
    keep(kept, simple_cnn, result(FOUR, 3))
    keep(kept, simple_cnn, result(HALF, 5))
    found = known_results(simple_cnn, kept, IMAGES, tmp_path)
    assert {point.spec: (point.correct, point.precomputed) for point in found.points} == {
        FLOAT: (19, True),
        FOUR: (17, False),
        HALF: (15, False),
    }
    assert found.before.correct == 19
    assert all(found.results[point.spec].evaluation.correct == point.correct for point in found.points)


def test_a_stale_landscape_is_the_notice_of_what_is_known(kept, simple_cnn, tmp_path):
    assert known_results(simple_cnn, kept, IMAGES, tmp_path).notice is None
    (tmp_path / "simple_cnn.parquet").write_bytes(b"not a landscape")
    assert "cannot be read" in known_results(simple_cnn, kept, IMAGES, tmp_path).notice


def test_without_images_there_is_what_was_measured_beforehand(kept, simple_cnn, tmp_path):
    write_landscape(simple_cnn, [result(FLOAT, 1)], tmp_path)
    keep(kept, simple_cnn, result(HALF, 5))
    found = known_results(simple_cnn, kept, None, tmp_path)
    assert [(point.spec, point.precomputed) for point in found.points] == [(FLOAT, True)]
    assert known_results(simple_cnn, kept, None, tmp_path / "nowhere").points == ()
