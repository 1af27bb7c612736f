"""Images of CIFAR-10, read once for all sessions."""

import streamlit as st

from compression.data import images
from compression.data.cifar10 import TRAIN
from compression.data.images import ImageSet
from compression.errors import DataError
from compression.evaluation import normalization_trial


@st.cache_resource(show_spinner="Reading CIFAR-10")
def load_once() -> ImageSet:
    """Returns the test images; raises DataError where there are none or they are damaged."""
    return images.load()


@st.cache_resource(ttl=60, show_spinner=False)
def test_images() -> ImageSet | DataError:
    """Returns the test images, or the error that reading them raised. An error is looked at again after a minute."""
    try:
        return load_once()
    except DataError as error:
        return error


@st.cache_resource(ttl=60, show_spinner="Reading the training images")
def missing_training_images() -> DataError | None:
    """Returns why there are no training images, or None if there are. An error is looked at again after a minute."""
    try:
        images.load(TRAIN)
    except DataError as error:
        return error
    return None


@st.cache_resource(ttl=60, show_spinner="Reading CIFAR-10")
def trial_images() -> ImageSet | DataError:
    """Returns the images that normalisations are tried on, or the error that reading them raised."""
    try:
        return normalization_trial.trial_images()
    except DataError as error:
        return error
