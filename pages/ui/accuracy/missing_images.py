"""What a page shows where the accuracy needs test images and there are none."""

from collections.abc import Callable

import streamlit as st

from compression.data.cifar10 import TEST
from compression.data.download import download
from compression.data.split import Split
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
    offer_download(TEST, "Download 24 MB", "download", lambda: images.test_images.clear())


def offer_download(split: Split, label: str, key: str, forget: Callable[[], None]) -> None:
    """Draws a button that downloads a part of CIFAR-10. `forget` forgets that it was missing."""
    if st.button(label, key=key, icon=":material/download:") and (
        fetch_bar.run_with_bar(lambda progress: download(split, progress=progress))
    ):
        forget()
        st.rerun()
