"""The time that a search still takes, from what two searches did, at several speeds of a machine."""

from itertools import pairwise

import pytest

from compression.evaluation.subsets import HALF
from compression.experiments.search.goal import Trial
from compression.experiments.search.reading import Phase
from compression.experiments.search.space import space_of
from compression.experiments.search.time_left import (
    WARM_UP_IMAGES,
    Meter,
    images_left,
    share_done,
    work_of,
)
from compression.networks.bundled import load_bundled
from compression.spec import CompressionSpec

# phase, share of it, images of the search half, rivals left, complete trials and their images, files whose bytes were
# counted, by network and number of trials: `python -m compression search --model NAME --drop 1 --trials N`
RECORDED = {
    ("simple_cnn", 150): (
        ("FLOAT", 0.0, 0, 92, 0, 0, 0),
        ("FLOAT", 0.0, 0, 92, 0, 0, 0),
        ("FLOAT", 0.0, 0, 92, 0, 0, 0),
        ("FLOAT", 0.0, 0, 92, 0, 0, 0),
        ("RIVALS", 0.392, 5000, 56, 0, 0, 0),
        ("RIVALS", 0.424, 6500, 53, 0, 0, 6),
        ("RIVALS", 0.424, 15000, 53, 0, 0, 7),
        ("RIVALS", 0.468, 19750, 49, 0, 0, 9),
        ("RIVALS", 0.5, 22000, 46, 0, 0, 14),
        ("RIVALS", 0.642, 29000, 33, 0, 0, 25),
        ("RIVALS", 0.75, 41750, 23, 0, 0, 35),
        ("RIVALS", 0.815, 54500, 17, 0, 0, 43),
        ("RIVALS", 0.945, 63875, 5, 0, 0, 53),
        ("SCAN", 0.0, 70000, 0, 0, 0, 56),
        ("SCAN", 0.86, 70000, 0, 0, 0, 56),
        ("TRIALS", 0.0, 70000, 0, 0, 0, 56),
        ("TRIALS", 0.02, 82250, 0, 3, 6000, 62),
        ("TRIALS", 0.053, 96625, 0, 8, 22000, 67),
        ("TRIALS", 0.087, 111000, 0, 13, 33500, 72),
        ("TRIALS", 0.12, 125125, 0, 18, 49500, 77),
        ("TRIALS", 0.16, 139000, 0, 24, 66000, 82),
        ("TRIALS", 0.22, 150750, 0, 33, 79500, 90),
        ("TRIALS", 0.293, 160000, 0, 44, 85000, 101),
        ("TRIALS", 0.38, 166500, 0, 57, 96000, 113),
        ("TRIALS", 0.453, 175000, 0, 68, 103500, 124),
        ("TRIALS", 0.493, 184250, 0, 74, 106500, 132),
        ("TRIALS", 0.54, 191375, 0, 81, 120000, 137),
        ("TRIALS", 0.58, 195750, 0, 87, 123000, 140),
        ("TRIALS", 0.613, 204750, 0, 92, 134500, 143),
        ("TRIALS", 0.66, 214500, 0, 99, 142500, 148),
        ("TRIALS", 0.7, 219625, 0, 105, 150000, 154),
        ("TRIALS", 0.727, 227375, 0, 109, 156500, 157),
        ("TRIALS", 0.773, 234000, 0, 116, 169000, 162),
        ("TRIALS", 0.78, 249250, 0, 117, 174000, 165),
        ("TRIALS", 0.813, 253625, 0, 122, 185500, 170),
        ("TRIALS", 0.833, 260500, 0, 125, 197000, 172),
        ("TRIALS", 0.867, 267625, 0, 130, 204000, 176),
        ("TRIALS", 0.893, 275125, 0, 134, 215000, 180),
        ("TRIALS", 0.92, 283500, 0, 138, 226000, 183),
        ("TRIALS", 0.933, 294000, 0, 140, 236000, 186),
        ("TRIALS", 0.973, 304250, 0, 146, 244500, 191),
        ("CONFIRM", 0.0, 314500, 0, 150, 261000, 192),
        ("CONFIRM", 0.0, 314500, 0, 150, 261000, 192),
        ("DONE", 1.0, 314500, 0, 150, 261000, 192),
    ),
    ("resnet20", 80): (
        ("FLOAT", 0.0, 0, 184, 0, 0, 0),
        ("FLOAT", 0.8, 4000, 184, 0, 0, 0),
        ("RIVALS", 0.195, 5000, 148, 0, 0, 0),
        ("RIVALS", 0.218, 9625, 144, 0, 0, 8),
        ("RIVALS", 0.245, 16750, 139, 0, 0, 13),
        ("RIVALS", 0.31, 21375, 127, 0, 0, 24),
        ("RIVALS", 0.369, 26750, 116, 0, 0, 35),
        ("RIVALS", 0.397, 31625, 111, 0, 0, 41),
        ("RIVALS", 0.424, 37875, 106, 0, 0, 46),
        ("RIVALS", 0.473, 41500, 97, 0, 0, 54),
        ("RIVALS", 0.56, 48750, 81, 0, 0, 71),
        ("RIVALS", 0.636, 56125, 67, 0, 0, 84),
        ("RIVALS", 0.663, 61750, 62, 0, 0, 89),
        ("RIVALS", 0.728, 67125, 50, 0, 0, 100),
        ("RIVALS", 0.805, 75250, 36, 0, 0, 115),
        ("RIVALS", 0.853, 83625, 27, 0, 0, 125),
        ("RIVALS", 0.908, 93625, 17, 0, 0, 134),
        ("RIVALS", 0.956, 99500, 8, 0, 0, 143),
        ("SCAN", 0.0, 105500, 0, 0, 0, 148),
        ("SCAN", 0.104, 105500, 0, 0, 0, 148),
        ("SCAN", 0.201, 105500, 0, 0, 0, 148),
        ("SCAN", 0.324, 105500, 0, 0, 0, 148),
        ("SCAN", 0.419, 105500, 0, 0, 0, 148),
        ("SCAN", 0.545, 105500, 0, 0, 0, 148),
        ("SCAN", 0.663, 105500, 0, 0, 0, 148),
        ("SCAN", 0.787, 105500, 0, 0, 0, 148),
        ("SCAN", 0.922, 105500, 0, 0, 0, 148),
        ("TRIALS", 0.0, 105500, 0, 0, 0, 148),
        ("TRIALS", 0.025, 116750, 0, 2, 1000, 154),
        ("TRIALS", 0.063, 127625, 0, 5, 16000, 157),
        ("TRIALS", 0.088, 140000, 0, 7, 26000, 159),
        ("TRIALS", 0.125, 152250, 0, 10, 41000, 162),
        ("TRIALS", 0.138, 160625, 0, 11, 46000, 163),
        ("TRIALS", 0.2, 172000, 0, 16, 62000, 167),
        ("TRIALS", 0.225, 183875, 0, 18, 72000, 170),
        ("TRIALS", 0.25, 193750, 0, 20, 82000, 172),
        ("TRIALS", 0.275, 206250, 0, 22, 92000, 174),
        ("TRIALS", 0.312, 216625, 0, 25, 107000, 176),
        ("TRIALS", 0.338, 228375, 0, 27, 117000, 179),
        ("TRIALS", 0.4, 239625, 0, 32, 128500, 183),
        ("TRIALS", 0.538, 247250, 0, 43, 138500, 193),
        ("TRIALS", 0.675, 252875, 0, 54, 144000, 204),
        ("TRIALS", 0.813, 257375, 0, 65, 149500, 213),
        ("TRIALS", 0.95, 262625, 0, 76, 155000, 223),
        ("CONFIRM", 0.0, 270000, 0, 80, 166000, 225),
        ("CONFIRM", 0.0, 270000, 0, 80, 166000, 225),
        ("DONE", 1.0, 270000, 0, 80, 166000, 225),
    ),
}


def timed(
    name: str, count: int, per_image: float, per_file: float, start: float
) -> list[tuple[float, float, float | None]]:
    """Seconds, share of the work and estimated seconds left at each look, on a machine of this speed."""
    work = work_of(space_of(load_bundled(name)), count)
    now, scanned, looks = 0.0, 0.0, []
    meter = Meter(clock=lambda: now)
    for step, share, images, rivals, complete, trial_images, files in RECORDED[name, count]:
        phase = Phase[step]
        if phase is Phase.SCAN:
            scanned = work[phase] * share
        elif phase not in (Phase.FLOAT, Phase.RIVALS):
            scanned = work[Phase.SCAN]
        confirmed = work[Phase.CONFIRM] if phase is Phase.DONE else 0.0
        now = start * min(1, images / 2500) + per_image * (images + scanned + confirmed) + per_file * files
        meter.images = images + scanned
        meter.look()
        trials = [Trial(CompressionSpec("net"), 1, trial_images // max(1, complete), 0, 0, 0)] * complete
        left = images_left(work, phase, share, rivals, trials, count)
        looks.append((now, share_done(work, phase, share), meter.seconds_left(left)))
    return looks


@pytest.mark.parametrize(("name", "count"), RECORDED)
@pytest.mark.parametrize(
    ("per_image", "per_file", "start"), [(0.13e-3, 0.03, 3.0), (0.6e-3, 0.03, 3.0), (1.5e-3, 0.1, 10.0)]
)
def test_the_estimate_of_the_whole_is_within_a_factor_of_one_and_a_half_after_a_tenth(
    name: str, count: int, per_image: float, per_file: float, start: float
) -> None:
    looks = timed(name, count, per_image, per_file, start)
    whole = looks[-1][0]
    estimates = [seconds + left for seconds, _, left in looks if left is not None and seconds > whole / 10]
    assert len(estimates) > 0.7 * len(looks)
    assert all(whole / 1.5 < each < whole * 1.5 for each in estimates)


@pytest.mark.parametrize(("name", "count"), RECORDED)
def test_the_share_grows_from_nothing_to_everything(name: str, count: int) -> None:
    shares = [share for _, share, _ in timed(name, count, 1e-3, 0.01, 1.0)]
    assert (shares[0], shares[-1]) == (0, 1)
    assert all(before <= after for before, after in pairwise(shares))


def test_the_scan_of_a_deep_network_is_more_of_the_work() -> None:
    parts = [work_of(space_of(load_bundled(name)), 150) for name in ("simple_cnn", "resnet20")]
    small, deep = (work[Phase.SCAN] / sum(work.values()) for work in parts)
    assert small < 0.1 < 0.15 < deep


def test_nothing_is_estimated_while_workers_start_and_pauses_do_not_count() -> None:
    moments = iter([0.0, 10.0, 12.0, 99.0, 101.0])
    meter = Meter(clock=lambda: next(moments))
    meter.images = HALF - 1
    meter.look()
    meter.images = WARM_UP_IMAGES
    meter.look()
    assert meter.seconds_left(100) is None
    meter.images += 1000
    meter.look()
    assert meter.seconds_left(1000) == pytest.approx(2)
    meter.pause()
    meter.look()
    meter.images += 1000
    meter.look()
    assert meter.seconds_left(1000) == pytest.approx(2)
