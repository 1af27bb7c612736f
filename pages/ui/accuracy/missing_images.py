"""What a page shows where the accuracy needs test images and there are none."""

import streamlit as st

from compression.data.cifar10 import TEST
from compression.data.download import download
from compression.errors import DataError, DataMissing
from pages.ui.compute import images
from pages.ui.frame import fetch_bar
from pages.ui.frame.warnings import show_notice, without_folders


def explain(problem: DataError, notice: str | None = None) -> None:
    """Shows why there are no test images, and a button that downloads them if they are missing.

    `notice` is a sentence on why the committed results are not used either, or None.
    """
    show_notice(notice)
    if not isinstance(problem, DataMissing):
        st.warning(f"There is no accuracy: {without_folders(str(problem))}.", icon=":material/broken_image:")
        return
    st.info(
        "The accuracy needs the test images of CIFAR-10, and there are none here. Download them, or set the "
        "environment variable CIFAR10_ROOT to a folder that has them. Everything else on this page works without them.",
        icon=":material/image_search:",
    )
    if st.button("Download 24 MB", key="download", icon=":material/download:") and (
        fetch_bar.run_with_bar(lambda progress: download(TEST, progress=progress))
    ):
        images.test_images.clear()
        st.rerun()
