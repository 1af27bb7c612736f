"""The accuracy of both sides, live, and whether they differ significantly."""

from functools import partial

import streamlit as st

from compression.errors import DataError
from compression.evaluation.evaluation import Evaluation, flips
from compression.evaluation.reading import Reading
from pages.ui import wording
from pages.ui.accuracy import missing_images, panel, polling
from pages.ui.accuracy.polling import AccuracyState
from pages.ui.compute import accuracy as compute
from pages.ui.frame import frame
from pages.ui.frame.look import STEADY
from pages.ui.quantization import controls
from pages.ui.quantization.controls import COMPARISON, NUMBER, Side


def metric(model: str, side: Side) -> None:
    """Shows the accuracy of one side, live; after a move, first what is known without counting."""

    @st.fragment(key=f"{NUMBER} {side}")
    def draw() -> None:
        state = _look(model, side, go=not frame.is_complete())
        polling.poll(partial(_look, model, side), partial(panel.show_number, border=False), first=state)

    draw()


@st.fragment(key=COMPARISON)
def comparison(model: str) -> None:
    """Shows how far both counts are, and then the result of McNemar's test."""

    def look(go: bool = True) -> AccuracyState:
        """Returns the reading of a side that is still being counted, or else that of the right side."""
        left, right = (_look(model, side, go) for side in Side)
        return left if polling.is_counting(left) else right

    def draw(slower: AccuracyState) -> None:
        if isinstance(slower, DataError):
            missing_images.explain(slower, compute.landscape_notice(model))
            return
        with st.container(key=STEADY):
            left, right = (_look(model, side) for side in Side)
            if not (isinstance(left, Reading) and isinstance(right, Reading)):
                st.caption(
                    "There are no test images, so that only accuracies that were measured beforehand can be compared."
                )
            elif left.whole and right.whole:
                st.markdown(comparison_in_words(left.whole, right.whole))
            elif left.error or right.error:
                panel.show_state(left if left.error else right)
            else:
                images, total = left.images + right.images, left.total + right.total
                counted = f"{left.images:,} images evaluated on the left, {right.images:,} on the right"
                st.progress(images / total, f"{counted}, of {left.total:,}. Both are compared when all are evaluated")

    polling.wait_before_counting(look(go=False))
    polling.poll(look, draw)


def comparison_in_words(left: Evaluation, right: Evaluation) -> str:
    """Returns which side is better on the same images, and whether the difference is significant."""
    counted = f"Of {left.total:,} images, the left classifies {left.correct:,} correctly, the right {right.correct:,}."
    change = flips(left, right)
    if change.lost == change.won == 0:
        return f"{counted} They are the same images."
    better = "left" if change.lost > change.won else "right"
    meaning = (
        f"the {better} is significantly better" if change.p < wording.SIGNIFICANCE else "the difference may be chance"
    )
    return (
        f"{counted} {change.lost:,} images are correct on the left only, {change.won:,} on the right only: "
        f"**{meaning}** (McNemar test, {wording.p_value(change.p)})."
    )


def _look(model: str, side: Side, go: bool = True) -> AccuracyState:
    return polling.look(controls.spec(model, side), go, side)
