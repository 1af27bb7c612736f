"""Single widgets that several pages share."""

import math
from typing import Any

import streamlit as st

from pages.ui.compute import networks
from pages.ui.frame import frame

CLIPS = """\
What lies beyond the range goes to its end, and the rest gets finer steps. Full: from the smallest to the largest
weight. Percentile: but for the largest 0.1 %. Stds: mean ± 3 standard deviations. Means: ± 5 times the mean |w|. Least
error: the fraction of the full range with the least squared error. Gaussian, Laplace: the best range if the weights
were so distributed (ACIQ). KL: the least Kullback-Leibler divergence of their histogram (TensorRT)."""
IN_ALL, BY_CLASS, CONFUSION = "in all", "by class", "confusion"
SCHEMES = """\
Symmetric: zero in the middle, scale from the largest |w|. Affine: from the smallest to the largest weight, with an
integer zero point. Min-max: the same, but zero is not exact. Power of two: the nearest ±2ⁿ. K-means: a codebook of
means that Lloyd's algorithm finds. Ternary: 0 and ±a. Binary: ±a.
Step: multiples of a number that is given."""
MOST_SPARSE = 0.99
FOLDED = "each channel's weights now carry its scale, and one scale for all of them fits few."


def fold_toggle(model: str, consequence: str = FOLDED, **options: Any) -> bool:
    """Whether batch norm is folded before all else. `consequence`: what that does to the weights."""
    return st.toggle(
        "Fold batch norm first",
        key="fold",
        bind="query-params",
        disabled=not networks.has_batch_norm(model),
        help="Batch norm goes into the convolution before it, as where networks are deployed: the same function, but "
        f"{consequence}",
        **options,
    )


def pick_accuracy_chart() -> None:
    """Which chart of accuracy there is."""
    st.selectbox(
        "Chart of accuracy",
        [IN_ALL, BY_CLASS, CONFUSION],
        key="chart",
        bind="query-params",
        label_visibility="collapsed",
        on_change=frame.rerun_answer,
    )


def sparsity_slider(**options: Any) -> float:
    """The share of weights that goes, 0..1."""
    return st.slider("Sparsity", 0.0, MOST_SPARSE, step=0.01, format="percent", **options)


def threshold_slider(reach: float, label: str = "Threshold on |w|", **options: Any) -> float:
    """What scores below it goes; `reach`: most scores lie below it."""
    top, step = _threshold_scale(reach)
    decimals = max(0, -math.floor(math.log10(step)))
    return st.slider(label, 0.0, top, step=step, format=f"%.{decimals}f", **options)


def snap(reach: float, threshold: float) -> float:
    """`threshold`, or what the slider for `reach` has nearest to it."""
    top, step = _threshold_scale(reach)
    return min(top, max(0.0, step * round(threshold / step)))


def _threshold_scale(reach: float) -> tuple[float, float]:
    """The end and the step of a threshold slider that goes to `reach`, in 20 to 200 round steps."""
    step = 10.0 ** math.floor(math.log10(reach / 20))
    return step * math.ceil(reach / step), step


def choose(label: str, options: list, key: str, words: str, default: Any = None, **more: Any) -> Any:
    """One of a few `options`, in the link under `key`; the first one unless there is a `default`."""
    return st.segmented_control(
        label,
        options,
        default=default or options[0],
        required=True,
        key=key,
        bind="query-params",
        help=words,
        **more,
    )
