"""Numbers become words in one place."""

import pytest

from pages.ui import wording


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1.00 k"),
        (12_345, "12.3 k"),
        (268_650, "269 k"),
        (1_900_000, "1.90 M"),
        (99_960, "100 k"),
        (999_700, "1.00 M"),
    ],
)
def test_quantities_have_three_figures(value, words):
    assert wording.quantity(value).replace("\N{NARROW NO-BREAK SPACE}", " ") == words


def test_a_kilobyte_is_a_thousand_bytes():
    assert wording.size(1_000) == "1.00\N{NARROW NO-BREAK SPACE}kB"


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (-0.0123, "-1.2 points"),
        (0.01, "+1.0 points"),
        (0, "0.0 points"),
        (-1e-5, "0.0 points"),
    ],
)
def test_a_change_has_a_sign_unless_it_rounds_to_nothing(difference, words):
    assert wording.points(difference) == words


def test_an_interval_and_a_half_width_are_percent():
    assert wording.interval(0.9, 0.92) == "90.0 to 92.0\N{NARROW NO-BREAK SPACE}%"
    assert wording.short_interval(0.9, 0.92) == "90.0\N{EN DASH}92.0\N{NARROW NO-BREAK SPACE}%"
    assert wording.plus_minus(0.917, 0.017) == "91.7 \N{PLUS-MINUS SIGN} 1.7\N{NARROW NO-BREAK SPACE}%"


@pytest.mark.parametrize(
    ("half_width", "words"),
    [(0.0005, "80.0 ± 0.1 %"), (0.0004, "80.00 ± 0.04 %"), (0.00005, "80.00 ± 0.01 %"), (0.00004, "80.00 ± < 0.01 %")],
)
def test_what_is_not_exact_never_has_an_interval_of_zero(half_width, words):
    """10,000 images less a few: the interval is narrow, and not zero."""
    assert wording.plus_minus(0.8, half_width) == words.replace(" %", f"{wording.NARROW}%")


@pytest.mark.parametrize(("fraction", "words"), [(0.5, "50 %"), (0.125, "12.5 %"), (0.3, "30 %"), (0.0, "0 %")])
def test_a_share_that_was_asked_for_has_the_digits_that_it_has(fraction, words):
    assert wording.short_percent(fraction) == words.replace(" ", wording.NARROW)


@pytest.mark.parametrize(("count", "words"), [(500, "500 B"), (50_000, "50 kB"), (1_200_000, "1.2 MB")])
def test_a_round_size_has_no_more_figures_than_it_needs(count, words):
    assert wording.round_size(count) == words.replace(" ", wording.NARROW)


def test_long_times_are_in_hours():
    assert wording.duration(4000) == "1 h 6 min"


@pytest.mark.parametrize(("seconds", "words"), [(4.4, "about 4 s left"), (75, "about 1 min 15 s left")])
def test_time_left_is_in_minutes_and_seconds(seconds, words):
    assert wording.seconds_left(seconds) == words


def test_whole_percents_around_an_interval_hold_it() -> None:
    assert wording.around(0.8548, 0.9032) == "85 to 91\N{NO-BREAK SPACE}%"
    assert wording.around(0.5, 0.5) == "50 to 50\N{NO-BREAK SPACE}%"
