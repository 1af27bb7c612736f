"""The recovered networks that come with the project: what their lineages say of them is true."""

import math

import pytest

from compression.data.images import ImageSet
from compression.evaluation.evaluation import evaluate
from compression.library.catalog import load_network
from compression.library.recovered import GALLERY, Recovered, all_recovered, load_recovered

BUNDLED = [each for each in all_recovered() if each.is_bundled]
IMAGES = 1000
MOST_BYTES = 3_000_000


@pytest.mark.parametrize("each", BUNDLED, ids=lambda each: each.name)
def test_its_accuracy_is_the_one_that_its_lineage_says(each: Recovered, test_images: ImageSet) -> None:
    """On some of the images the share that is right may differ by chance, in one of ten thousand cases by more."""
    model = load_recovered(each.name)
    counted = evaluate(model.module, test_images[:IMAGES], model.normalization).accuracy
    said = each.lineage.accuracy
    assert said is not None
    assert abs(counted - said) < 4 * math.sqrt(said * (1 - said) / IMAGES)


@pytest.mark.parametrize("each", BUNDLED, ids=lambda each: each.name)
def test_it_comes_from_a_network_of_the_project_and_was_worth_its_training(each: Recovered) -> None:
    """The held-out images were seen by the float network, so near its accuracy on them nothing more can be won."""
    assert each.lineage.digest == load_network(each.lineage.parent).digest
    before, after = each.lineage.before.accuracy, each.lineage.after.accuracy
    chance = 2 * math.sqrt(before * (1 - before) / each.lineage.before.total)
    assert after > (before - chance if before > 0.95 else before)


def test_all_of_them_are_small() -> None:
    assert sum(path.stat().st_size for path in GALLERY.iterdir()) < MOST_BYTES
