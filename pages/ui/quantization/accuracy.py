"""The accuracy of both sides, live, and whether they differ by more than chance."""

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
from pages.ui.quantization import controls
from pages.ui.quantization.controls import NUMBER, VERDICT, Side


def metric(model: str, side: Side) -> None:
    """The number of one side, live; after a move, first what is known without counting."""

    @st.fragment(key=f"{NUMBER} {side}")
    def draw() -> None:
        known = _look(model, side, go=not frame.is_complete())
        polling.poll(partial(_look, model, side), partial(panel.show_number, border=False), first=known)

    draw()


@st.fragment(key=VERDICT)
def verdict(model: str) -> None:
    """How far the counts are, and then what McNemar's test says of the two."""

    def look(go: bool = True) -> AccuracyState:
        """The reading of the side that has more to come."""
        left, right = (_look(model, side, go) for side in Side)
        return left if polling.is_counting(left) else right

    def draw(slower: AccuracyState) -> None:
        if isinstance(slower, DataError):
            missing_images.explain(slower, compute.landscape_notice(model))
            return
        with st.container(height=panel.SENTENCE_PIXELS, border=False):
            left, right = (_look(model, side) for side in Side)
            if not (isinstance(left, Reading) and isinstance(right, Reading)):
                st.caption("There are no images here, and only what was measured can be compared.")
            elif left.whole and right.whole:
                st.markdown(between(left.whole, right.whole))
            elif left.error or right.error:
                panel.show_state(left if left.error else right)
            else:
                images, total = left.images + right.images, left.total + right.total
                counted = f"{left.images:,} images counted on the left, {right.images:,} on the right"
                st.progress(images / total, f"{counted}, of {left.total:,}: then the two can be compared")

    polling.wait_for_painting(look(go=False))
    polling.poll(look, draw)


def between(left: Evaluation, right: Evaluation) -> str:
    """Which side is better on the same images, and whether it is more than chance."""
    counted = f"{left.correct:,} images right on the left, {right.correct:,} on the right, of {left.total:,}."
    change = flips(left, right)
    if change.lost == change.won == 0:
        return f"{counted} Both sides are right on the very same images."
    better = "left" if change.lost > change.won else "right"
    meaning = f"the {better} is better, and this is no chance" if change.p < 0.05 else "this may be chance"
    return (
        f"{counted} {change.lost:,} are right on the left alone, {change.won:,} on the right alone: "
        f"**{meaning}** (McNemar, {wording.p_value(change.p)})."
    )


def _look(model: str, side: Side, go: bool = True) -> AccuracyState:
    return polling.look(controls.spec(model, side), go, side)
