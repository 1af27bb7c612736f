"""The recovered networks that come with the project: what their lineages say of them is true."""

import math

import pytest

from compression.data.images import ImageSet
from compression.evaluation.evaluation import evaluate
from compression.library.catalog import load_network
from compression.library.recovered import GALLERY, Recovered, all_recovered, gallery_names, load_recovered
from compression.networks.bundled import bundled_names
from compression.results.landscape import FOLDER, read_landscape, read_landscape_of_file
from compression.spec import CompressionSpec

BUNDLED = [each for each in all_recovered() if each.is_bundled]
IMAGES = 1000
MOST_BYTES = 3_000_000


@pytest.mark.parametrize("each", BUNDLED, ids=lambda each: each.name)
def test_its_predictions_are_those_that_were_measured_beforehand(each: Recovered, test_images: ImageSet) -> None:
    """Another processor rounds differently, which changes about one prediction in ten thousand."""
    model = load_recovered(each.name)
    (beforehand,) = read_landscape(model).results
    now = evaluate(model.module, test_images[:IMAGES], model.normalization).predictions
    assert (now != beforehand.evaluation.predictions[:IMAGES]).sum() <= 3


@pytest.mark.parametrize("each", BUNDLED, ids=lambda each: each.name)
def test_what_was_measured_beforehand_says_what_its_lineage_and_its_file_say(each: Recovered) -> None:
    (result,) = read_landscape_of_file(each.name, each.path.read_bytes()).results
    assert (result.spec, result.evaluation.total) == (CompressionSpec(each.name), 10_000)
    assert (result.evaluation.accuracy, result.costs.file) == (each.lineage.accuracy, each.nbytes)


def test_every_network_of_the_project_was_measured_and_no_other() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted([*bundled_names(), *gallery_names()])


@pytest.mark.parametrize("each", BUNDLED, ids=lambda each: each.name)
def test_it_comes_from_a_network_of_the_project_and_was_worth_its_training(each: Recovered) -> None:
    """The held-out images were seen by the float network, so near its accuracy on them nothing more can be won."""
    assert each.lineage.digest == load_network(each.lineage.parent).digest
    before, after = each.lineage.before.accuracy, each.lineage.after.accuracy
    chance = 2 * math.sqrt(before * (1 - before) / each.lineage.before.total)
    assert after > (before - chance if before > 0.95 else before)


def test_all_of_them_are_small() -> None:
    assert sum(path.stat().st_size for path in GALLERY.iterdir()) < MOST_BYTES
