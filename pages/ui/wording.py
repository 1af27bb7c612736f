"""Values -> words, the same on every page. Fractions become percent here and nowhere else; 1 kB is 1,000 bytes."""

import math

from compression.engine.jobs import Place

NARROW = "\N{NARROW NO-BREAK SPACE}"
TIMES = "\N{MULTIPLICATION SIGN}"
SIGNIFICANCE = 0.05  # a difference with a smaller p of McNemar's test is called significant


def percent(fraction: float, digits: int = 1) -> str:
    """0.917 -> "91.7 %"."""
    return f"{100 * fraction:.{digits}f}{NARROW}%"


def short_percent(fraction: float) -> str:
    """0.5 -> "50 %", 0.125 -> "12.5 %": no digits that are not needed."""
    return f"{round(100 * fraction, 4):g}{NARROW}%"


def plus_minus(fraction: float, half_width: float) -> str:
    """(0.917, 0.017) -> "91.7 ± 1.7 %", (0.8, 0.0003) -> "80.00 ± 0.03 %": never "± 0", which would mean exact."""
    if half_width >= 0.0005:
        return f"{100 * fraction:.1f} \N{PLUS-MINUS SIGN} {percent(half_width)}"
    least = 0.0001
    width = percent(half_width, 2) if half_width >= least / 2 else f"< {percent(least, 2)}"
    return f"{100 * fraction:.2f} \N{PLUS-MINUS SIGN} {width}"


def points(difference: float) -> str:
    """-0.0123 -> "-1.2 points", which are percentage points; only zero has no sign."""
    rounded = round(100 * difference, 1)
    return f"{rounded:+.1f} points" if rounded else "0.0 points"


def p_value(p: float) -> str:
    """0.0312 -> "p = 0.031", 1e-9 -> "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def interval(low: float, high: float) -> str:
    """(0.9, 0.92) -> "90.0 to 92.0 %"."""
    return f"{100 * low:.1f} to {percent(high)}"


def short_interval(low: float, high: float) -> str:
    """(0.9, 0.92) -> "90.0 to 92.0 %" with a dash for "to", where there is little room."""
    return f"{100 * low:.1f}\N{EN DASH}{percent(high)}"


def around(low: float, high: float) -> str:
    """(0.8548, 0.9032) -> "85 to 91 %": whole percents that hold the interval."""
    return f"{math.floor(100 * low)} to {math.ceil(100 * high)}\N{NO-BREAK SPACE}%"


def quantity(value: float, unit: str = "") -> str:
    """134217 -> "134 k", with three significant digits, followed by the unit."""
    value = float(f"{value:.3g}")
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            number = value / size
            return f"{number:.{max(0, 2 - (number >= 10) - (number >= 100))}f}{NARROW}{prefix}{unit}"
    return f"{value:.0f}{NARROW}{unit}".rstrip(NARROW)


def size(count: int) -> str:
    """134217 -> "134 kB"."""
    return quantity(count, "B")


def round_size(count: int) -> str:
    """50000 -> "50 kB", 1200000 -> "1.2 MB": no digits that are not needed."""
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:g}{NARROW}{prefix}B"
    return f"{count}{NARROW}B"


def times(ratio: float) -> str:
    """7.94 -> "7.9x", 1.02 -> "1.02x"."""
    return f"{ratio:.{2 if ratio < 1.1 else 1}f}{TIMES}"


def decibels(ratio_db: float) -> str:
    """19.34 -> "19.3 dB", infinity -> "no noise"."""
    return "no noise" if ratio_db == math.inf else f"{ratio_db:.1f}{NARROW}dB"


def capital(sentence: str) -> str:
    """Returns the sentence with a capital first letter, otherwise unchanged."""
    return sentence[:1].upper() + sentence[1:]


def duration(seconds: float) -> str:
    """75 -> "1 min 15 s", 4000 -> "1 h 6 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def seconds_left(seconds: float) -> str:
    """75 -> "about 1 min 15 s left"."""
    return f"about {duration(seconds)} left"


def outlook(seconds: float | None, place: Place) -> str:
    """Returns what a job waits for, or else how long the rest takes, as the end of a sentence; nothing if not known.

    Two jobs of the same session first -> ", 2 jobs are before this one"; no progress beside three other
    sessions -> ", waiting for 3 others"; 75 s -> ", about 1 min 15 s left".
    """
    if not place.runs:
        return f", {place.before} job{' is' if place.before == 1 else 's are'} before this one"
    if place.is_starved:
        return f", waiting for {place.sessions} other{'s' * (place.sessions != 1)}"
    return "" if seconds is None else f", {seconds_left(seconds)}"
