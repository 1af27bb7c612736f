"""Widgets as views of the settings, and single widgets that several pages share."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from pages.ui.compute import networks
from pages.ui.frame import frame
from pages.ui.settings import selection
from pages.ui.state import session
from pages.ui.state.link import CHARTS

CLIPS = """\
Weights outside the clipping range move to its ends; those inside get finer steps. Full: from the smallest to the
largest weight. Percentile: all but the largest 0.1 %, which is none of fewer than 1,000 weights per scale. Stds: mean ±
3 standard deviations. Means: ± 5 times the mean |w|. Least error: the fraction of the full range with the least squared
error, judged on 512 quantiles of the weights; less error is not always more accuracy. Gaussian, Laplace: about the best
range if the weights had this distribution (ACIQ), not exact with 2 or 3 bits. KL: the least Kullback-Leibler divergence
between the histograms before and after (TensorRT)."""
OVERALL, PER_CLASS, CONFUSION = CHARTS
SCHEMES = """\
Symmetric: zero is the middle level, and the scale follows from the largest |w|. Affine: from the smallest to the
largest weight, with an integer zero point. Min-max: the same range, but zero is not a level. Power of two: the nearest
±2ⁿ. K-means: a codebook of means, found by Lloyd's algorithm. Ternary: 0 and ±a. Binary: ±a. Step: multiples of a
step that you choose."""
MOST_SPARSE = 0.99
FOLDED = (
    "The weights of each channel are then multiplied by the factor of its batch norm, so that one scale per tensor "
    "fits only a few channels."
)


def fold_toggle(model: str, consequence: str = FOLDED, after: Callable[[], None] | None = None) -> bool:
    """Draws the switch for folding batch norm. `consequence` is a sentence on what folding does to the weights."""
    return st.toggle(
        "Fold batch norm",
        disabled=not networks.has_batch_norm(model),
        help="Multiplies batch norm into the convolution before it, before anything else, as is usual when a network "
        f"is deployed. The network computes the same function. {consequence}",
        **session.bound("fold", selection.settings(model).fold, after),
    )


def pick_accuracy_chart() -> None:
    """Draws the picker of the accuracy chart."""
    st.selectbox(
        "Accuracy chart",
        CHARTS,
        label_visibility="collapsed",
        **session.bound("chart", session.now().chart, frame.rerun_answer),
    )


def sparsity_slider(value: float, **options: Any) -> float:
    """Draws the slider for the sparsity and returns it, 0..1. It reaches `value`, which it shows if it has no key."""
    if "key" not in options:
        options["value"] = value
    return st.slider("Sparsity", 0.0, max(value, MOST_SPARSE), step=0.01, format="percent", **options)


def threshold_slider(reach: float, label: str = "Threshold on |w|", **options: Any) -> float:
    """Draws the slider for the threshold and returns it. Most scores lie below `reach`, where the slider ends."""
    top, step = threshold_scale(reach)
    decimals = max(0, -math.floor(math.log10(step)))
    return st.slider(label, 0.0, top, step=step, format=f"%.{decimals}f", **options)


def snap(reach: float, threshold: float) -> float:
    """Returns the position of the slider for `reach` that is nearest to `threshold`, which may be infinite."""
    top, step = threshold_scale(reach)
    return min(top, step * round(min(max(0.0, threshold), top) / step))


def threshold_scale(reach: float) -> tuple[float, float]:
    """Returns the end and the step of a threshold slider that goes to `reach` in 20 to 200 round steps."""
    step = 10.0 ** math.floor(math.log10(reach / 20))
    return step * math.ceil(reach / step), step


def including(options: Sequence[str], value: str) -> list[str]:
    """Returns `options`, and `value` before them if it is none of them: a link can say more than a widget offers."""
    return [*options] if value in options else [value, *options]


def choose(
    label: str,
    options: Sequence[Any],
    key: str,
    value: Any,
    explanation: str,
    after: Callable[[], None] | None = None,
    **more: Any,
) -> Any:
    """Draws a row of `options`, of which `value` is selected, and returns the selected one: the setting `key`."""
    return st.segmented_control(
        label, options, required=True, help=explanation, **session.bound(key, value, after), **more
    )
