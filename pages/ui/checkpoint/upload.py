"""An uploaded checkpoint: its architecture, its normalisation, and its accuracy."""

import hashlib
import re
from typing import Any

import pandas as pd
import streamlit as st

from compression.errors import CheckpointError, DataError
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.normalization_trial import TRIAL_IMAGES, float_model
from compression.networks.checkpoints.reading import MAX_BYTES, read_tensors
from compression.networks.checkpoints.recognition import Recognition, recognise
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.accuracy import panel
from pages.ui.compute import accuracy, images, uploads
from pages.ui.state import link, session

KINDS = ("pth", "pt", "th", "tar", "bin", "safetensors")
MOST_OF_ONE_SESSION = 4
NAME_LENGTH = 40
FORGOTTEN = "forgotten"  # in the session: how many uploads were forgotten


def ask() -> tuple[Any, float | None]:
    """Shows the inputs; returns the file and the expected accuracy (0..1), each None if it is not given."""
    file = st.file_uploader(
        "A checkpoint for CIFAR-10",
        type=list(KINDS),
        max_upload_size=MAX_BYTES // 1_000_000,
        key=f"checkpoint {st.session_state.get(FORGOTTEN, 0)}",
        help="A state dict saved by torch.save, alone or inside a training checkpoint, or safetensors. It stays on "
        "this server, no code in it runs, and it is deleted an hour after its page was opened last.",
    )
    stated = st.number_input(
        "Expected accuracy (percent)",
        0.0,
        100.0,
        None,
        step=0.01,
        key="stated",
        placeholder="if you know it",
        help="For comparison with the measured accuracy. A wrong normalisation costs up to a point without warning.",
    )
    st.caption(
        "Supported architectures: ResNet-8 to -110 for CIFAR with both kinds of shortcuts, VGG-11 to -19, MobileNetV2, "
        "ShuffleNetV2, RepVGG, and the bundled networks. The state dict may be inside a training script's checkpoint, "
        "come from DataParallel or torch.compile, or be pruned by torch.nn.utils.prune."
    )
    return file, None if stated is None else stated / 100


def answer(file: Any, stated: float | None) -> None:
    """Shows what the file is, or why it cannot be used."""
    if file is None:
        st.info("Upload a checkpoint. Your network then appears in the picker of every page.", icon=":material/upload:")
        return
    content = file.getvalue()
    name = _name(file.name, content)
    if name not in uploads.own():
        try:
            recognised = recognise(read_tensors(content, _plain(file.name)))
        except CheckpointError as error:
            st.error(f"This file cannot be used: {error}.", icon=":material/broken_image:")
            return
        _store(name, file.name, recognised)
    model = uploads.own()[name]
    st.success(f"{wording.capital(model.about['recognised'])}.", icon=":material/verified:")
    _normalization(model)
    _accuracy(model, stated)
    st.page_link(
        "app.py",
        label=f"Explore {name}",
        icon=":material/tune:",
        query_params=link.parameters(session.of_network(session.now(), name)),
    )


def _plain(file_name: str) -> str:
    """Returns a file name without characters that Markdown would render, at most NAME_LENGTH long."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", file_name)[-NAME_LENGTH:]


def _name(file_name: str, content: bytes) -> str:
    """Returns a name that no other content has, and that cannot be guessed without the content."""
    return f"{_plain(file_name).rpartition('.')[0]}-{hashlib.sha256(content).hexdigest()[:12]}"


def _store(name: str, file_name: str, recognised: Recognition) -> None:
    """Finds the normalisation and stores the network in this session; if the session is full, the oldest goes."""
    dataset = images.test_images()
    basis = NORMALIZATIONS["cifar10"] if isinstance(dataset, DataError) else dataset
    bar = st.empty()

    def show(share: float) -> None:
        bar.progress(share, "Trying normalisations")

    show(0.0)
    model = float_model(name, recognised, basis, f"your file {_plain(file_name)}", show)
    bar.empty()
    shelf = uploads.own()
    while len(shelf) >= MOST_OF_ONE_SESSION:
        del shelf[next(iter(shelf))]
    uploads.keep(model)


def _normalization(model: FloatModel) -> None:
    """Shows the normalisations that were tried, best first."""
    trials = model.about.get("tried")
    if not trials:
        st.warning(
            "The normalisation of this checkpoint is unknown, and without CIFAR-10 it cannot be found by trying. "
            f"“{model.normalization.name}” is assumed.",
            icon=":material/help:",
        )
        return
    st.caption(
        f"Normalisation: **{model.normalization.name}**, because it gives the lowest loss on the first {TRIAL_IMAGES} "
        "test images. The loss decides, because it changes with every image, while accuracy only counts whole images."
    )
    tried = [NORMALIZATIONS[trial["normalization"]] for trial in trials]
    st.dataframe(
        pd.DataFrame(
            {
                "Normalisation": [n.name for n in tried],
                "Mean": [" ".join(f"{value:g}" for value in n.mean) for n in tried],
                "Std": [" ".join(f"{value:g}" for value in n.std) for n in tried],
                "Accuracy": [wording.percent(trial["accuracy"]) for trial in trials],
                "Loss": [f"{trial['loss']:.3f}" for trial in trials],
            }
        ),
        hide_index=True,
        alt="Tried normalisations with accuracy and loss",
    )


def _accuracy(model: FloatModel, stated: float | None) -> None:
    """Shows the accuracy on all test images while it is measured, beside the expected accuracy."""
    if isinstance(images.test_images(), DataError):
        return
    spec = CompressionSpec(model.name)

    @st.fragment(run_every=accuracy.poll_seconds())
    def watch() -> None:
        reading = accuracy.look(spec)
        panel.show_state(reading)
        if reading.exact or reading.error:
            st.rerun()

    reading = accuracy.look(spec)
    if reading.whole:
        st.markdown(verdict(reading.whole, stated))
    elif reading.error:
        panel.show_state(reading)
    else:
        watch()


def verdict(counted: Evaluation, stated: float | None) -> str:
    """Returns the measured accuracy, and whether it agrees with the stated one, in sentences."""
    low, high = counted.interval
    measured = (
        f"**{wording.percent(counted.accuracy, 2)}**: {counted.correct:,} of {counted.total:,} test images are "
        f"classified correctly (95 % interval {wording.interval(low, high)})."
    )
    if stated is None:
        return measured
    expected, difference = wording.percent(stated, 2), wording.points(counted.accuracy - stated)
    if abs(counted.accuracy - stated) < 0.00055:
        return f"{measured} This is the accuracy that you expected."
    if low <= stated <= high:
        return f"{measured} You expected {expected}: the difference of {difference} lies within the interval."
    return (
        f"{measured} You expected {expected}: the difference of **{difference}** is more than chance. Was the expected "
        "accuracy measured on these images, with this normalisation, without test-time augmentation?"
    )


def shelf() -> None:
    """Shows the uploaded networks of this session, each with a button that deletes it."""
    own = uploads.own()
    if not own:
        return
    st.caption(
        f"Your networks ({len(own)} of at most {MOST_OF_ONE_SESSION}). Only those who have the link of one can see it."
    )
    for name in list(own):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"`{name}`", width=420)
            if st.button("Delete", key=f"forget {name}", icon=":material/delete:"):
                uploads.forget(name)
                # an uploader with another key is empty
                st.session_state[FORGOTTEN] = st.session_state.get(FORGOTTEN, 0) + 1
                st.rerun()
