"""What a page shows where accuracy needs test images and there are none."""

import streamlit as st

from compression.data.cifar10 import TEST
from compression.data.download import download
from compression.errors import DataError, DataMissing
from pages.ui.compute import images
from pages.ui.frame import fetch_bar


def explain(problem: DataError, notice: str | None = None) -> None:
    """Says why there are no images, with a button that downloads them.

    `notice` is a sentence on why the committed results are not used either, or None.
    """
    if notice:
        st.caption(f":material/info: {notice}")
    if not isinstance(problem, DataMissing):
        st.warning(f"Accuracy is off: {problem}.", icon=":material/broken_image:")
        return
    st.info(
        "Accuracy needs CIFAR-10's test images, and there are none here. Fetch them, or point the environment "
        "variable CIFAR10_ROOT at a copy. All else on this page works without them.",
        icon=":material/image_search:",
    )
    if st.button("Download 24 MB", key="download", icon=":material/download:") and (
        fetch_bar.run_with_bar(lambda progress: download(TEST, progress=progress))
    ):
        images.test_images.clear()
        st.rerun()
