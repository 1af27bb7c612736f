"""The section Corruptions: what noise, blur, light, JPEG, shift and rotation cost both networks."""

import streamlit as st

from compression.inside.inspector import InspectionReading
from compression.inside.robustness import CorruptionReport, Difference
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.charts import show
from pages.ui.charts.inside import corruptions as charts
from pages.ui.compute import inside
from pages.ui.inside import job
from pages.ui.settings import selection

WORDS = "Classifies clean and corrupted images with both networks"
EXPLANATION = """\
The images are made from the test images, always in the same way: noise to JPEG with the strengths of CIFAR-10-C
(Hendrycks and Dietterich 2019), shift by 1 to 6 pixels and rotation by 5° to 30° with mirrored edges. Intervals are
95 % intervals of a paired difference, because both networks classify the same images."""


def draw(model: str) -> None:
    """Draws the accuracy of both networks on corrupted images, or why it is not known."""
    job.draw_on_images("corruptions", selection.spec(model), inside.corrupted, _show, WORDS)


def _show(spec: CompressionSpec, count: int, reading: InspectionReading) -> None:
    if reading.done:
        _draw_report(inside.corruption_report(spec, count, reading))
    st.caption(EXPLANATION)


def _draw_report(report: CorruptionReport) -> None:
    st.markdown(_verdict(report))
    show.chart(charts.severities(report, show.ink()), "severities", "Accuracy of both networks by severity")
    left, right = st.columns([1, 1], gap="medium")
    with left:
        alt = "Change of accuracy by compression under each corruption"
        show.chart(charts.changes(report, show.ink()), "corruption changes", alt)
    with right:
        st.dataframe(
            {
                "Class": [each.name for each in report.classes],
                "Clean images": [wording.points(each.clean) for each in report.classes],
                "Corrupted images": [wording.points(each.corrupted) for each in report.classes],
            },
            hide_index=True,
            height=charts.CHANGES_HEIGHT,
            alt="Change of accuracy by compression in each class, on clean and on corrupted images",
        )


def _verdict(report: CorruptionReport) -> str:
    comparison = "no significant difference"
    if report.extra.is_significant:
        comparison = "compression costs **more** there" if report.extra.mean < 0 else "compression costs **less** there"
    return (
        f"Compression changes the accuracy by {_points(report.clean.change)} on {report.clean.images:,} clean images "
        f"and by {_points(report.change)} in the mean over all corruptions: {comparison} "
        f"(difference {_points(report.extra)})."
    )


def _points(each: Difference) -> str:
    return f"{wording.points(each.mean)} [{100 * each.low:+.1f}, {100 * each.high:+.1f}]"
