"""The choice of one image: a test image by its number, a file of the reader, or a photograph."""

from collections.abc import Callable
from enum import StrEnum

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from compression.data.cifar10 import TEST
from compression.errors import DataError
from compression.inside.own_image import FORMATS, MOST_BYTES, Crop
from pages.ui.accuracy import missing_images
from pages.ui.compute import images
from pages.ui.compute.saliency import Picture
from pages.ui.state import session

OWN_HELP = "PNG, JPEG, WebP or HEIC. The file is read in memory and not kept."
CROP_HELP = "100 % is the largest part with the proportions of what the network sees, 32 x 32 pixels."


class Source(StrEnum):
    """Where the image comes from."""

    TEST = "Test image"
    FILE = "File"
    CAMERA = "Camera"


def pick(beside: Callable[[], object]) -> Picture | None:
    """Draws the choice, and what `beside` draws next to it. Returns the image; None if there is none yet."""
    dataset = images.test_images()
    left, right = st.columns([1, 1], gap="medium")
    with left:
        source = st.segmented_control(
            "Image from",
            list(Source),
            default=Source.FILE if isinstance(dataset, DataError) else Source.TEST,
            required=True,
            key="image source",
        )
    with right:
        beside()
    if source is Source.TEST:
        return _pick_test_image()
    with left:
        content = _own_file() if source is Source.FILE else st.camera_input("Photograph", key="photograph")
    if content is None:
        if isinstance(dataset, DataError) and source is Source.FILE:
            st.caption("Without the test images of CIFAR-10, upload an image of your own.")
            missing_images.explain(dataset)
        return None
    with right:
        return Picture(content=content.getvalue(), crop=_pick_crop())


def _pick_test_image() -> Picture | None:
    dataset = images.test_images()
    if isinstance(dataset, DataError):
        missing_images.explain(dataset)
        return None
    st.number_input(
        "Number of the test image",
        0,
        TEST.images - 1,
        width=220,
        **session.bound("picture", session.now().picture, st.rerun),
    )
    return Picture(number=session.now().picture)


def _own_file() -> UploadedFile | None:
    return st.file_uploader(
        "Your own image",
        type=[*FORMATS.values(), "jpeg", "heif"],
        max_upload_size=MOST_BYTES // 1_000_000,
        key="own image",
        help=OWN_HELP,
    )


def _pick_crop() -> Crop:
    """Draws the sliders of the crop."""
    size = st.slider("Size of the crop", 10, 100, 100, 5, format="%d %%", key="crop size", help=CROP_HELP)
    across, down = st.columns(2)
    return Crop(
        size / 100,
        across.slider("Left to right", 0, 100, 50, 5, format="%d %%", key="crop across") / 100,
        down.slider("Top to bottom", 0, 100, 50, 5, format="%d %%", key="crop down") / 100,
    )
