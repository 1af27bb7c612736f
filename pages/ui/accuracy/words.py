"""Sentences on an accuracy: what was counted, how far the count is, and whether a change is significant."""

from compression.evaluation.evaluation import Evaluation, flips
from compression.evaluation.reading import Reading
from compression.results.neighbours import Neighbours
from compression.spec.title import title
from pages.ui import wording


def result_in_words(after: Evaluation, before: Evaluation | None, base: str = "float") -> str:
    """Returns the number of correct images, and whether the change against the `base` network is significant."""
    counted = f"{after.correct:,} of {after.total:,} test images classified correctly"
    if before is None or before is after:
        return f"{counted}."
    change = flips(before, after)
    if change.lost == change.won == 0:
        return f"{counted}, the same images as by the {base} network."
    direction = "drop" if change.lost > change.won else "gain"
    meaning = f"a significant {direction}" if change.p < wording.SIGNIFICANCE else "the change may be chance"
    return (
        f"{counted}. Against the {base} network, {change.lost:,} images were lost and {change.won:,} gained: "
        f"**{meaning}** (McNemar test, {wording.p_value(change.p)})."
    )


def origin_in_words(reading: Reading) -> str:
    """Returns where a number comes from that was not counted here, or else nothing."""
    return f" Measured beforehand, with PyTorch {reading.measured_with}." if reading.measured_with else ""


def neighbours_in_words(neighbours: Neighbours) -> str:
    """Returns a sentence on the worst and the best measured spec around one that was not measured."""
    ranked = sorted(neighbours.results, key=lambda each: each.evaluation.correct)
    worst, best = (
        f"{wording.percent(each.evaluation.accuracy, 2)} ({title(each.spec)})" for each in (ranked[0], ranked[-1])
    )
    return f"These settings were not measured, and there are no test images. Measured neighbours: {worst} to {best}."


def progress_in_words(reading: Reading, stopped: bool) -> str:
    """Returns how far the count is."""
    if not reading.images:
        return "Stopped before the first images" if stopped else "Counting the first images …"
    counted = f"Estimated from {reading.images:,} of {reading.total:,} images"
    if stopped:
        return f"{counted}, stopped"
    return counted if reading.seconds_left is None else f"{counted}, {wording.seconds_left(reading.seconds_left)}"


def stand_in_in_words(reading: Reading) -> str:
    """Returns that the accuracy is that of another network, without recovery, and what it stands on."""
    counted = "" if not reading.images else f", on {reading.images:,} of {reading.total:,} images"
    return f"The accuracy of the same settings without recovery{counted}. That of the recovered network follows."
