"""The section Confidence: how sure the networks are, and whether they are as often right."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from compression.errors import DataError
from compression.inside.calibration import Calibration
from compression.inside.inspector import InspectionReading
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.accuracy import missing_images
from pages.ui.charts import show
from pages.ui.charts.inside import confidence as charts
from pages.ui.compute import images, inside
from pages.ui.inside import calibration_curve, job, missing
from pages.ui.settings import selection

WORDS = "Computes the probabilities of all test images with both networks"
EXPLANATION = """\
A network is calibrated if, of the images of which it is 80 % sure, it classifies 80 % correctly. The expected
calibration error is the mean distance from that, over 15 intervals of the probability (Guo et al. 2017). Temperature
scaling divides all logits by one number, which changes no prediction. The number is chosen on every second test image;
the figures here stand on the others. Dashed lines: after scaling."""
MEASURES: dict[str, Callable[[Calibration], str]] = {
    "Mean probability": lambda each: wording.percent(each.plain.confidence),
    "Accuracy": lambda each: wording.percent(each.plain.accuracy),
    "Calibration error": lambda each: wording.percent(each.plain.expected_error),
    "Temperature": lambda each: f"{each.temperature:.2f}",
    "Error after scaling": lambda each: wording.percent(each.scaled.expected_error),
}


def draw(model: str) -> None:
    """Draws the margins of the images that change sides, and the reliability of both networks."""
    spec = selection.spec(model)
    comparison = inside.comparison(spec)
    left, right = st.columns([1, 1], gap="medium")
    with left:
        if comparison is None:
            missing.explain_predictions(model)
        elif comparison.margins is None:
            st.caption("How sure the float network is of each image was not kept.")
        else:
            alt = "How sure the float network is of lost, won and other images"
            show.chart(charts.margins(comparison, show.ink()), "margins", alt)
            st.caption(
                "The margin is the largest logit of the float network minus the second largest. Images with a small "
                "margin are near the border of two classes, and little noise in the weights moves them across."
            )
    with right:
        dataset = images.test_images()
        if isinstance(dataset, DataError):
            if comparison is not None:
                missing_images.explain(dataset)
        elif inside.is_pending(spec):
            st.caption("The network is still being recovered.")
        else:
            job.draw("calibration", spec, partial(inside.logits, spec), partial(_show, spec), WORDS)
    if not isinstance(dataset, DataError):
        calibration_curve.draw(spec)


def _show(spec: CompressionSpec, reading: InspectionReading) -> None:
    if not reading.done:
        st.caption(EXPLANATION)
        return
    before, after = inside.calibrations(spec, reading)
    show.chart(charts.reliability(before, after, show.ink()), "reliability", "Reliability diagram of both networks")
    st.table(_columns({"Float": before, "Compressed": after}), border="horizontal")
    st.caption(EXPLANATION)


def _columns(calibrations: dict[str, Calibration]) -> dict[str, list[str]]:
    """Returns a column for each network, which is narrow enough for a phone."""
    return {"Measure": [*MEASURES]} | {
        name: [measure(each) for measure in MEASURES.values()] for name, each in calibrations.items()
    }
