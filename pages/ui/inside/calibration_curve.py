"""The calibration error against bits and against sparsity, a part of the section Confidence."""

import streamlit as st

from compression.inside.inspector import InspectionReading
from compression.spec import CompressionSpec
from pages.ui.charts import show
from pages.ui.charts.inside import confidence as charts
from pages.ui.compute import inside
from pages.ui.inside import job

WORDS = "Measures the calibration error at other bits and other sparsities"
EXPLANATION = """\
All other settings are those of now, without the steps that give accuracy back. The temperature is fitted on 1,000
training images. The network has seen them and is surer of them than of test images, so that this temperature is rather
too low. With few images the error is rather too high: each of the 15 intervals adds its chance."""


def draw(spec: CompressionSpec) -> None:
    """Draws both curves, or the button that measures them."""
    st.markdown("**Calibration error against bits and sparsity**")
    job.draw_counted("calibration curve", spec, inside.calibration_curve, _show, WORDS)


def _show(spec: CompressionSpec, count: int, reading: InspectionReading) -> None:
    if reading.done:
        points = inside.curve_points(spec, count, reading)
        sides = zip(st.columns([1, 1], gap="medium"), ("bits", "sparsity"), strict=True)
        for column, name in sides:
            with column:
                figure = charts.curve([each for each in points if getattr(each.at, name) is not None], show.ink())
                show.chart(figure, f"curve of {name}", f"Expected calibration error by {name}")
    st.caption(EXPLANATION)
