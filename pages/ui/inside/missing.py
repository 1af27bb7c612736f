"""What the page Inside shows where predictions or pictures are not there."""

import streamlit as st

from compression.errors import DataError
from pages.ui.accuracy import missing_images
from pages.ui.compute import accuracy, images


def explain_predictions(model: str) -> None:
    """Shows why there are no predictions yet, and what to do."""
    dataset = images.test_images()
    if not isinstance(dataset, DataError):
        st.info("The images are shown once all of them are counted.", icon=":material/hourglass_top:")
        return
    st.caption("These settings were not measured beforehand, so it is not known which images they lose.")
    missing_images.explain(dataset, accuracy.landscape_notice(model))


def explain_pictures() -> None:
    """Shows why there are no pictures, if so, and how to get them."""
    dataset = images.test_images()
    if isinstance(dataset, DataError):
        st.caption("The predictions were measured beforehand. The pictures need the test images of CIFAR-10.")
        missing_images.explain(dataset)
