"""The section Classes: which classes pay for the compression."""

import streamlit as st

from compression.inside.flips import class_changes
from pages.ui import wording
from pages.ui.charts import show
from pages.ui.charts.inside import classes as charts
from pages.ui.compute import inside
from pages.ui.inside import missing
from pages.ui.settings import selection


def draw(model: str) -> None:
    """Draws the change of each class beside the mean, or why it is not known."""
    comparison = inside.comparison(selection.spec(model))
    if comparison is None:
        missing.explain_predictions(model)
        return
    changes = class_changes(comparison)
    mean = sum(each.after - each.before for each in changes) / sum(each.images for each in changes)
    worst = changes[0]
    st.markdown(
        f"The class **{worst.name}** changes by {wording.points(worst.change)}, all classes together by "
        f"{wording.points(mean)}."
    )
    left, right = st.columns([1, 1], gap="medium")
    with left:
        show.chart(charts.classes(changes, mean, show.ink()), "class changes", "Change of accuracy by class")
    with right:
        st.dataframe(
            {
                "Class": [each.name for each in changes],
                "Float": [wording.percent(each.before / each.images) for each in changes],
                "Compressed": [wording.percent(each.after / each.images) for each in changes],
                "Lost": [each.lost for each in changes],
                "Won": [each.won for each in changes],
            },
            hide_index=True,
            alt="Accuracy, lost and won images by class",
        )
    fewest = min(each.images for each in changes)
    st.caption(f"One image of a class with {fewest:,} images is {wording.percent(1 / fewest, 1)} of it.")
