"""The Pareto front and the budgets, checked against all pairs of points."""

import random
from dataclasses import replace

import pytest

from compression.results.costs import Costs
from compression.results.pareto import Point, least_correct, most_accurate, pareto_front, recovered_pairs, smallest
from compression.spec import CompressionSpec, PruneSpec, QuantSpec


def point(file: int, correct: int, total: int = 100) -> Point:
    sparsity = (file * 1000 + correct) / 10**6  # so that each is another spec
    costs = Costs(10, 5, 40, 40, 40, 40, file, 1, 1)
    return Point(CompressionSpec("net", PruneSpec(sparsity=sparsity)), costs, correct, total)


def cloud(seed: int) -> list[Point]:
    """Points with few different values, so that many are equal."""
    draw = random.Random(seed)
    return [point(draw.randint(1, 12), draw.randint(0, 12)) for _ in range(draw.randint(1, 40))]


def beats(one: Point, other: Point) -> bool:
    return (
        one.file_bytes <= other.file_bytes
        and one.correct >= other.correct
        and (one.file_bytes, one.correct) != (other.file_bytes, other.correct)
    )


@pytest.mark.parametrize("seed", range(30))
def test_the_front_holds_the_points_that_no_other_beats(seed):
    points = cloud(seed)
    expected = {(each.file_bytes, each.correct) for each in points if not any(beats(other, each) for other in points)}
    front = pareto_front(points)
    assert [(each.file_bytes, each.correct) for each in front] == sorted(expected)


@pytest.mark.parametrize("seed", range(30))
def test_the_best_within_a_budget_is_beaten_by_none_within_it(seed):
    points = cloud(seed)
    for limit in range(14):
        within = [each for each in points if each.file_bytes <= limit]
        best = most_accurate(points, limit)
        assert (best is None) == (not within)
        assert not any(each.correct > best.correct or beats(each, best) for each in within)
        able = [each for each in points if each.accuracy >= limit / 100]
        small = smallest(points, limit / 100)
        assert (small is None) == (not able)
        assert not any(each.file_bytes < small.file_bytes or beats(each, small) for each in able)


def test_a_percentage_point_of_ten_thousand_images_is_a_hundred_images():
    before = point(100, 9_241, 10_000)
    assert least_correct(before, 0.01) == 9_141
    assert least_correct(before, 0.0) == 9_241
    assert [least_correct(before, tenths / 1000) for tenths in range(1, 100)] == [9_241 - 10 * n for n in range(1, 100)]


def test_a_name_states_the_network_and_all_settings():
    one = point(1, 2)
    assert one.name.startswith("net:")
    assert one.name == point(1, 2).name
    assert one.name != point(1, 3).name


def of(spec: CompressionSpec, file: int) -> Point:
    return Point(spec, Costs(10, 5, 40, 40, 40, 40, file, 1, 1), 50, 100)


def test_training_gives_accuracy_back_to_the_network_that_it_began_with_or_to_the_same_without_recovery():
    plain = CompressionSpec("net", weights=QuantSpec(2))
    rounded = replace(plain, rounding="compensated")
    before, better, after = of(plain, 3), of(rounded, 2), of(CompressionSpec("trained"), 1)
    further = of(CompressionSpec("trained", PruneSpec(sparsity=0.5)), 4)
    assert recovered_pairs([before, better, after, further]) == [(before, better)]
    trained = {"trained": rounded}
    assert recovered_pairs([before, after, further], trained) == [(before, after)]
    assert recovered_pairs([before, better, after, further], trained) == [(before, better), (better, after)]
