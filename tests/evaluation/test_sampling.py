"""Estimates from the first images: an example by hand, exactness, laws, coverage; and McNemar's test."""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from itertools import permutations

import pytest
import torch
from torch import Tensor

from compression.data.cifar10 import CLASSES
from compression.evaluation.evaluation import Evaluation, flips
from compression.evaluation.sampling import (
    PREFERENCE,
    Estimate,
    VisitingOrder,
    class_estimates,
    estimate,
    inclusion_scale,
    plain_order,
    visiting_order,
)
from compression.evaluation.statistics import Flips, wilson_interval

IMAGES = 2000
PREFIXES = (1, 2, 50, 999, IMAGES - 1, IMAGES)


def evaluation_from(right: Tensor, labels: Tensor | None = None, margins: Tensor | None = None) -> Evaluation:
    """An evaluation with `right` (N,) bool; all labels are 0 by default."""
    labels = torch.zeros(len(right), dtype=torch.int64) if labels is None else labels
    return Evaluation(torch.where(right, labels, (labels + 1) % 10).to(torch.uint8), labels, CLASSES, 0, 0.0, margins)


def bits(text: str) -> Tensor:
    """ "101" -> [True, False, True]"""
    return torch.tensor([letter == "1" for letter in text])


def first_visited(evaluation: Evaluation, order: VisitingOrder, count: int) -> Evaluation:
    rows = order.rows[:count]
    return evaluation_from(evaluation.right[rows], evaluation.labels[rows])


def population(spread: float, flipping: float) -> tuple[Evaluation, Evaluation]:
    """A float network and a compressed one on made-up images of ten classes.

    The float network is right more often where its margin is large. An image of margin 0 is decided anew with
    probability 1/2, and the odds to be fall by e for every `spread` of the images with smaller margins; a share
    `flipping` of all images comes out wrong whatever the margin.
    """
    generator = torch.Generator().manual_seed(5)
    draw = lambda: torch.rand(IMAGES, generator=generator, dtype=torch.float64)
    smaller = torch.randperm(IMAGES, generator=generator) / IMAGES
    right = draw() > 0.5 * torch.exp(-smaller / 0.15)
    anew = draw() < 0.5 * torch.exp(-smaller / spread)
    after = torch.where(anew, ~right, right) & (draw() >= flipping)
    labels = torch.randint(0, 10, (IMAGES,), generator=generator)
    return evaluation_from(right, labels, 6 * smaller), evaluation_from(after, labels)


POPULATIONS = {"mild": (0.03, 0.0), "worse": (0.15, 0.01), "broken": (0.3, 0.6), "ruined": (0.3, 0.95)}


@pytest.fixture(params=POPULATIONS)
def networks(request: pytest.FixtureRequest) -> tuple[Evaluation, Evaluation]:
    return population(*POPULATIONS[request.param])


@cache
def drawn_order(seed: int) -> VisitingOrder:
    """Returns an order of the images by the margins of the float network, which is the same in all populations."""
    return visiting_order(population(*POPULATIONS["mild"])[0], seed)


def tries(networks: tuple[Evaluation, Evaluation], count: int, orders: int) -> list[Estimate]:
    before, after = networks
    orders_drawn = map(drawn_order, range(orders))
    return [estimate(order, first_visited(after, order, count), before) for order in orders_drawn]


def test_the_float_network_is_the_same_in_all_populations(networks: tuple[Evaluation, Evaluation]) -> None:
    assert torch.equal(visiting_order(networks[0], 1).rows, drawn_order(1).rows)
    assert torch.equal(visiting_order(networks[0], 1).sizes, drawn_order(1).sizes)


# ---- by hand


def test_six_images_by_hand() -> None:
    """Float classifies images 0 to 3 correctly and 4 and 5 not. Visited are 0 (lost), 2 (correct) and 4 (still wrong).

    Right before: two of four were visited, sizes 6, 2, 1, 1. c = 2/10 would give the first 1.2, so it is certain, and
    the others share 1 = c (2 + 1 + 1): c = 1/4. Weights 1 and 4, so the share still right is 4/5, that is 3.2 images.
    With an image of either kind of average weight 2.5: smooth = (2 * 0.8 + 1) / 4 = 0.65; the sum of
    w (w - 1) (right - 0.65)^2 is 0 + 12 * 0.1225 + 3.75 * (0.1225 + 0.4225) = 3.51375; by (2.5 * 4)^2: 0.0351375. A
    plain sample has this variance with 0.65 * 0.35 / 0.0351375 images, and the two that were added are taken out
    again: times 2/4, that is 3.2373.
    Wrong before: one of two, sizes 3 and 1, c = 1/4, weight 4/3. smooth = 1/3; 4/9 * (1/9 + 1/9 + 4/9) / 16 = 1/54;
    2/9 * 54 * 1/3 = 4 images.
    """
    order = VisitingOrder(torch.tensor([0, 4, 2, 1, 3, 5]), torch.tensor([6.0, 2.0, 1.0, 1.0, 3.0, 1.0]).double())
    before, after = evaluation_from(bits("111100")), evaluation_from(bits("011000"))
    result = estimate(order, first_visited(after, order, 3), before)
    assert (result.accuracy, result.images, result.total, result.exact) == (pytest.approx(3.2 / 6), 3, 6, False)
    low, high = wilson_interval(0.8 * 3.237282, 3.237282)
    wrong_high = wilson_interval(0, 4)[1]
    assert result.low == pytest.approx((3.2 - (3.2 - 4 * low)) / 6)
    assert result.high == pytest.approx((3.2 + math.hypot(4 * high - 3.2, 2 * wrong_high)) / 6)
    assert result.half_width == pytest.approx((result.high - result.low) / 2)


@pytest.mark.parametrize(
    ("sizes", "count", "scale"),
    [((1, 1, 1, 1), 2, 1 / 2), ((6, 2, 1, 1), 2, 1 / 4), ((10, 6, 1, 1), 3, 1 / 2), ((3, 1), 1, 1 / 4)],
)
def test_scales_by_hand(sizes: Sequence[float], count: int, scale: float) -> None:
    assert inclusion_scale(torch.tensor(sizes).double(), count) == pytest.approx(scale)


# ---- the order


def test_an_order_visits_every_image_once(networks: tuple[Evaluation, Evaluation]) -> None:
    for order in (visiting_order(networks[0]), plain_order(IMAGES)):
        assert torch.equal(order.rows.sort().values, torch.arange(IMAGES))
        assert len(order.sizes) == IMAGES
    assert torch.equal(plain_order(3).rows, torch.arange(3))


def test_an_order_is_the_same_anywhere() -> None:
    """The rows follow from the bits of PCG64 and the formula; a version that drew others would not fit old results."""
    before = evaluation_from(bits("1" * 8), margins=torch.tensor([0.1, 2.0, 3.0, 0.5, 4.0, 1.0, 5.0, 6.0]))
    assert visiting_order(before).rows.tolist() == [3, 2, 0, 1, 5, 6, 4, 7]
    assert visiting_order(before, seed=1).rows.tolist() != visiting_order(before).rows.tolist()


def test_smaller_margins_have_larger_sizes() -> None:
    margins = torch.tensor([3.0, 0.0, 1.0, 1.0, 8.0])
    sizes = visiting_order(evaluation_from(bits("11111"), margins=margins)).sizes.tolist()
    assert sizes[1] > sizes[2] == sizes[3] > sizes[0] > sizes[4]
    smaller = [0.7, 0.1, 0.4, 0.4, 0.9]
    assert sizes == [pytest.approx(1 / (1 + (PREFERENCE - 1) * q)) for q in smaller]


def test_the_scale_of_the_logits_and_half_precision_do_not_matter(networks: tuple[Evaluation, Evaluation]) -> None:
    before, _ = networks
    order = visiting_order(before)
    for margins in (8 * before.margins, before.margins.half()):
        other = visiting_order(evaluation_from(before.right, margins=margins))
        assert torch.equal(other.rows, order.rows)
        assert torch.equal(other.sizes, order.sizes)


@pytest.mark.parametrize("count", [1, 40, 150, 199])
def test_images_are_visited_as_often_as_their_inclusion_probabilities_say(count: int) -> None:
    before = evaluation_from(torch.ones(200, dtype=torch.bool), margins=torch.linspace(0, 5, 200))
    probabilities = (inclusion_scale(visiting_order(before).sizes, count) * visiting_order(before).sizes).clamp(max=1)
    assert float(probabilities.sum()) == pytest.approx(count)
    visits = torch.zeros(200)
    for seed in range(2000):
        visits[visiting_order(before, seed).rows[:count]] += 1
    assert (visits / 2000 - probabilities).abs().max() < 0.05
    assert (visits[:50].sum() - visits[-50:].sum()) / 2000 == pytest.approx(
        float(probabilities[:50].sum() - probabilities[-50:].sum()), abs=0.3
    )


# ---- exact at the end


@pytest.mark.parametrize("seed", range(5))
def test_the_last_image_makes_it_exact_whatever_the_sizes(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.rand(997, generator=generator, dtype=torch.float64) ** 4 + 1e-6
    order = VisitingOrder(torch.randperm(997, generator=generator), sizes)
    before, after = (evaluation_from(torch.rand(997, generator=generator) < 0.1 + 0.2 * seed) for _ in range(2))
    for reference in (before, None):
        result = estimate(order, first_visited(after, order, 997), reference)
        assert result == Estimate(after.accuracy, after.accuracy, after.accuracy, 997, 997)
        assert result.exact
        assert not estimate(order, first_visited(after, order, 996), reference).exact


def test_a_group_that_was_visited_completely_is_known() -> None:
    """Both images that float classifies wrongly were visited, and one is correct now. No other image was visited."""
    before, after = evaluation_from(bits("110011")), evaluation_from(bits("111011"))
    order = VisitingOrder(torch.tensor([2, 3, 0, 1, 4, 5]), torch.ones(6).double())
    result = estimate(order, first_visited(after, order, 2), before)
    assert (result.low, result.accuracy, result.high) == (
        pytest.approx(1 / 6),
        pytest.approx(1 / 2),
        pytest.approx(5 / 6),
    )


# ---- laws


def test_the_mean_over_all_orders_is_the_truth() -> None:
    """720 orders of six images, equal sizes; five images always hold two of either group."""
    before, after = evaluation_from(bits("111000")), evaluation_from(bits("101010"))
    orders = [VisitingOrder(torch.tensor(rows), torch.ones(6).double()) for rows in permutations(range(6))]
    result = [estimate(order, first_visited(after, order, 5), before).accuracy for order in orders]
    assert math.fsum(result) / 720 == pytest.approx(after.accuracy)
    assert len({round(accuracy, 9) for accuracy in result}) > 1


def test_the_mean_over_many_orders_is_close_to_the_truth(networks: tuple[Evaluation, Evaluation]) -> None:
    errors = torch.tensor([result.accuracy - networks[1].accuracy for result in tries(networks, 200, 400)])
    assert abs(float(errors.mean())) < 4 * float(errors.std()) / math.sqrt(400)


def test_equal_sizes_make_the_textbooks_poststratified_mean(networks: tuple[Evaluation, Evaluation]) -> None:
    """Sum over the groups of their share of all images times the mean of those visited (Cochran 1977, 5A.9)."""
    before, after = networks
    order = plain_order(IMAGES)
    sample = first_visited(after, order, 300)
    textbook = sum(
        float(group.double().mean() * sample.right[group[:300]].double().mean())
        for group in (before.right, ~before.right)
    )
    assert estimate(order, sample, before).accuracy == pytest.approx(textbook)


@pytest.mark.parametrize("count", PREFIXES[:-1])
def test_the_interval_without_the_float_network_is_wilsons(count: int) -> None:
    """It is that of n / (1 - n / N) images, because only the remaining images can still change the accuracy."""
    after = population(*POPULATIONS["worse"])[1]
    order = plain_order(IMAGES)
    sample = first_visited(after, order, count)
    result = estimate(order, sample, None)
    larger = count / (1 - count / IMAGES)
    assert result.accuracy == pytest.approx(sample.accuracy)
    assert (result.low, result.high) == pytest.approx(wilson_interval(sample.accuracy * larger, larger))


@pytest.mark.parametrize("count", PREFIXES)
def test_every_prefix_gives_an_interval_around_its_estimate(
    count: int, networks: tuple[Evaluation, Evaluation]
) -> None:
    for result in tries(networks, count, 20):
        assert 0 <= result.low <= result.accuracy <= result.high <= 1
        assert (result.half_width > 0) == (count < IMAGES)
        assert (result.images, result.total) == (count, IMAGES)


@pytest.mark.parametrize("right", [True, False])
def test_no_rounding_error_leaves_0_to_1(right: bool) -> None:
    same = evaluation_from(torch.full((IMAGES,), right))
    order = plain_order(IMAGES)
    for count in range(1, IMAGES, 7):
        result = estimate(order, first_visited(same, order, count), same)
        assert 0 <= result.low <= result.accuracy == right <= result.high <= 1


def test_the_interval_does_not_collapse_before_the_first_change() -> None:
    """The compressed network equals the float network, which is certain only after the last image."""
    before, _ = population(*POPULATIONS["mild"])
    order = visiting_order(before)
    widths = []
    for count in (125, 250, 500, 1000, 1999):
        result = estimate(order, first_visited(before, order, count), before)
        assert result.accuracy == pytest.approx(before.accuracy)
        assert result.low < before.accuracy < result.high
        widths.append(result.half_width)
    assert widths == sorted(widths, reverse=True)
    assert 0.01 < widths[0] < 0.04


@pytest.mark.parametrize("count", [125, 250, 500, 1000])
@pytest.mark.parametrize("name", ["worse", "broken", "ruined"])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(name: str, count: int) -> None:
    networks = population(*POPULATIONS[name])
    inside = [result.low <= networks[1].accuracy <= result.high for result in tries(networks, count, 300)]
    assert 0.89 < sum(inside) / 300 < 0.985


@pytest.mark.parametrize("count", [10, 125, 500])
def test_the_interval_holds_the_truth_where_changes_are_rare(count: int) -> None:
    networks = population(*POPULATIONS["mild"])
    inside = [result.low <= networks[1].accuracy <= result.high for result in tries(networks, count, 300)]
    assert sum(inside) / 300 > 0.95


@pytest.mark.parametrize(("name", "most"), [("mild", 0.5), ("worse", 0.75), ("broken", 1.33), ("ruined", 1.33)])
def test_errors_beside_those_of_a_plain_sample(name: str, most: float) -> None:
    """Errors are half as large if little changes, and only a little larger if margins are uninformative."""
    networks = population(*POPULATIONS[name])
    truth = networks[1].accuracy
    plain = math.sqrt(truth * (1 - truth) / 200 * (1 - 200 / IMAGES))
    squares = [(result.accuracy - truth) ** 2 for result in tries(networks, 200, 300)]
    assert math.sqrt(math.fsum(squares) / 300) < most * plain


# ---- classes


def test_classes_are_exact_at_the_end(networks: tuple[Evaluation, Evaluation]) -> None:
    before, after = networks
    order = visiting_order(before)
    result = class_estimates(order, first_visited(after, order, IMAGES), before)
    assert list(result) == list(CLASSES)
    assert {name: (one.accuracy, one.low, one.high, one.total) for name, one in result.items()} == {
        name: (right / total, right / total, right / total, total) for name, (right, total) in after.per_class.items()
    }
    assert sum(one.accuracy * one.total for one in result.values()) == pytest.approx(after.correct)


def test_the_classes_share_the_visited_images(networks: tuple[Evaluation, Evaluation]) -> None:
    before, after = networks
    order = visiting_order(before)
    result = class_estimates(order, first_visited(after, order, 300), before)
    whole = estimate(order, first_visited(after, order, 300), before)
    assert sum(one.images for one in result.values()) == 300
    assert sum(one.total for one in result.values()) == IMAGES
    assert all(one.half_width > whole.half_width for one in result.values())


def test_the_estimate_of_a_single_class_is_that_of_all_images() -> None:
    before, after = (evaluation_from(one.right, margins=one.margins) for one in population(*POPULATIONS["worse"]))
    order = visiting_order(before)
    sample = first_visited(after, order, 300)
    assert class_estimates(order, sample, before) == {CLASSES[0]: estimate(order, sample, before)}


def test_classes_hold_their_truth_about_as_often_as_they_say() -> None:
    before, after = population(*POPULATIONS["worse"])
    truth = {name: right / total for name, (right, total) in after.per_class.items()}
    inside = [
        one.low <= truth[name] <= one.high
        for order in (visiting_order(before, seed) for seed in range(100))
        for name, one in class_estimates(order, first_visited(after, order, 250), before).items()
    ]
    assert 0.92 < sum(inside) / len(inside) < 1


def test_a_class_that_was_not_visited_can_be_anything() -> None:
    labels = torch.tensor([3, 3, 5, 5])
    order = plain_order(4)
    result = class_estimates(order, evaluation_from(bits("1"), labels[:1]), evaluation_from(bits("1101"), labels))
    assert result["dog"] == Estimate(0.5, 0.0, 1.0, 0, 2)
    assert result["cat"].images == 1
    assert set(result) == {"cat", "dog"}


# ---- what is refused


def test_an_order_needs_margins() -> None:
    with pytest.raises(ValueError, match="did not keep them"):
        visiting_order(evaluation_from(bits("10")))


@pytest.mark.parametrize("count", [0, 4])
def test_an_estimate_needs_between_one_and_all_images(count: int) -> None:
    with pytest.raises(ValueError, match=f"needs 1 to 3 images, got {count}"):
        estimate(plain_order(3), evaluation_from(torch.ones(count, dtype=torch.bool)), None)


def test_an_estimate_from_other_images_is_refused() -> None:
    labels = torch.tensor([0, 1, 2])
    before = evaluation_from(bits("111"), labels)
    with pytest.raises(ValueError, match="not the first images"):
        estimate(plain_order(3), evaluation_from(bits("11"), labels[1:]), before)
    with pytest.raises(ValueError, match="the order has 4 images"):
        estimate(plain_order(4), evaluation_from(bits("11"), labels[:2]), before)


# ---- McNemar


@pytest.mark.parametrize(
    ("lost", "won", "p"), [(1, 7, 0.0391), (6, 16, 0.0347), (0, 1, 0.5), (5, 5, 1 - 252 / 2048), (0, 0, 1.0)]
)
def test_mid_p_values(lost: int, won: int, p: float) -> None:
    """The first two are the examples of Fagerland, Lydersen and Laake 2013; the others can be computed by hand."""
    assert Flips(lost, won).p == Flips(won, lost).p == pytest.approx(p, abs=5e-5)


def test_mid_p_follows_its_definition() -> None:
    """More extreme outcomes count fully, equally extreme ones half."""
    for flips_in_all in range(1, 30):
        chances = [Fraction(math.comb(flips_in_all, k), 2**flips_in_all) for k in range(flips_in_all + 1)]
        far = [abs(2 * k - flips_in_all) for k in range(flips_in_all + 1)]
        for lost in range(flips_in_all + 1):
            parts = [c if f > far[lost] else c / 2 for c, f in zip(chances, far, strict=True) if f >= far[lost]]
            assert Flips(lost, flips_in_all - lost).p == pytest.approx(float(sum(parts)))


def test_mid_p_of_thousands_of_flips_is_close_to_the_normal_limit() -> None:
    """Compared with the normal limit, which mid-p approaches, and beyond the smallest float."""
    for lost, won in ((4100, 3900), (4500, 4480), (1232, 1100)):
        normal = math.erfc(abs(lost - won) / math.sqrt(2 * (lost + won)))
        assert Flips(lost, won).p == pytest.approx(normal, rel=1e-3)
    assert Flips(9000, 1).p == 0


def test_flips_are_counted_image_by_image() -> None:
    before, after = evaluation_from(bits("1111000")), evaluation_from(bits("0011100"))
    assert flips(before, after) == Flips(lost=2, won=1)
    assert flips(before, after).p == pytest.approx(2 * 1 / 8 + 3 / 8)
    with pytest.raises(ValueError, match="different ones"):
        flips(before, evaluation_from(bits("0011100"), torch.arange(7)))
