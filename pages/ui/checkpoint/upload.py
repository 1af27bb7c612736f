"""A checkpoint from the reader's disk: what it is, how it must be normalised, and how good it is."""

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
from pages.ui.compute import accuracy, images, networks

KINDS = ("pth", "pt", "th", "tar", "bin", "safetensors")
MOST_OF_ONE_SESSION = 4
NAME_LENGTH = 40
FORGOTTEN = "forgotten"


def ask() -> tuple[Any, float | None]:
    """The file, and the accuracy (0..1) that it should have, as far as they are given."""
    file = st.file_uploader(
        "A checkpoint for CIFAR-10",
        type=list(KINDS),
        max_upload_size=MAX_BYTES // 1_000_000,
        key=f"checkpoint {st.session_state.get(FORGOTTEN, 0)}",
        help="A state_dict saved by torch.save, in a wrapper or not, or safetensors. It is read here and nowhere "
        "else, no code in it runs, and it is forgotten when this browser session ends.",
    )
    stated = st.number_input(
        "Accuracy it should have, in per cent",
        0.0,
        100.0,
        None,
        step=0.01,
        key="stated",
        placeholder="if you know it",
        help="To see whether it was understood: the wrong normalisation silently costs up to a point.",
    )
    st.caption(
        "Understood are ResNet-8 to -110 for CIFAR with both kinds of shortcuts, VGG-11 to -19, MobileNetV2, "
        "ShuffleNetV2, RepVGG, and the networks that come along; from a training script's checkpoint, from "
        "DataParallel or torch.compile, or pruned by torch.nn.utils.prune."
    )
    return file, None if stated is None else stated / 100


def answer(file: Any, stated: float | None) -> None:
    """What the file is, or why it cannot be used."""
    if file is None:
        st.info("Nothing is uploaded yet. Your network will be in the picker of every page.", icon=":material/upload:")
        return
    content = file.getvalue()
    name = _name(file.name, content)
    if name not in networks.own():
        try:
            recognised = recognise(read_tensors(content, _plain(file.name)))
        except CheckpointError as error:
            st.error(f"Not taken: {error}.", icon=":material/broken_image:")
            return
        _keep(name, file.name, recognised)
    model = networks.own()[name]
    st.success(f"{wording.capital(model.about['recognised'])}.", icon=":material/verified:")
    _normalization(model)
    _accuracy(model, stated)
    st.page_link("app.py", label=f"Explore {name}", icon=":material/tune:", query_params={"model": name})


def _plain(file_name: str) -> str:
    """Somebody else's file name, so that it is shown and not rendered, nor longer than a line."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", file_name)[-NAME_LENGTH:]


def _name(file_name: str, content: bytes) -> str:
    """A name that no other content has, and that cannot be guessed without it."""
    return f"{_plain(file_name).rpartition('.')[0]}-{hashlib.sha256(content).hexdigest()[:12]}"


def _keep(name: str, file_name: str, recognised: Recognition) -> None:
    """Finds the normalisation and puts the network on this session's shelf; the oldest goes where it is full."""
    dataset = images.test_images()
    known = NORMALIZATIONS["cifar10"] if isinstance(dataset, DataError) else dataset
    bar = st.empty()

    def show(share: float) -> None:
        bar.progress(share, "Trying normalisations")

    show(0.0)
    model = float_model(name, recognised, known, f"your file {_plain(file_name)}", show)
    bar.empty()
    shelf = networks.own()
    while len(shelf) >= MOST_OF_ONE_SESSION:
        del shelf[next(iter(shelf))]
    shelf[name] = model


def _normalization(model: FloatModel) -> None:
    """The normalisations that were tried, best first."""
    trials = model.about.get("tried")
    if not trials:
        st.warning(
            f"Its normalisation is not known, and without CIFAR-10 it cannot be found by trying: “"
            f"{model.normalization.name}” is assumed.",
            icon=":material/help:",
        )
        return
    st.caption(
        f"Normalisation: **{model.normalization.name}**, because with it the loss is lowest on the first "
        f"{TRIAL_IMAGES} test images. Accuracy moves by whole images, the loss moves with every one."
    )
    known = [NORMALIZATIONS[trial["normalization"]] for trial in trials]
    st.dataframe(
        pd.DataFrame(
            {
                "Normalisation": [n.name for n in known],
                "Mean": [" ".join(f"{value:g}" for value in n.mean) for n in known],
                "Std": [" ".join(f"{value:g}" for value in n.std) for n in known],
                "Accuracy": [wording.percent(trial["accuracy"]) for trial in trials],
                "Loss": [f"{trial['loss']:.3f}" for trial in trials],
            }
        ),
        hide_index=True,
        alt="Tried normalisations with accuracy and loss",
    )


def _accuracy(model: FloatModel, stated: float | None) -> None:
    """Accuracy on all test images, counted while the reader looks on, beside what the reader says."""
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
    """What was counted, and whether it is what was stated."""
    low, high = counted.interval
    found = (
        f"**{wording.percent(counted.accuracy, 2)}**: {counted.correct:,} of {counted.total:,} test images are right "
        f"(95 % interval {wording.interval(low, high)})."
    )
    if stated is None:
        return found
    difference = wording.points(counted.accuracy - stated)
    if abs(counted.accuracy - stated) < 0.00055:
        return f"{found} That is what you said."
    if low <= stated <= high:
        return f"{found} You said {wording.percent(stated, 2)}: {difference}, within the interval, not the same count."
    return (
        f"{found} You said {wording.percent(stated, 2)}: **{difference}**, more than chance. Was it measured on these "
        "images, with another normalisation, or with test-time augmentation?"
    )


def shelf() -> None:
    """The networks of this session, each with a button that forgets it."""
    mine = networks.own()
    if not mine:
        return
    st.caption(f"Yours, in this browser session alone ({len(mine)} of at most {MOST_OF_ONE_SESSION})")
    for name in list(mine):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"`{name}`", width=420)
            if st.button("Forget", key=f"forget {name}", icon=":material/delete:"):
                del mine[name]
                st.session_state[FORGOTTEN] = (
                    st.session_state.get(FORGOTTEN, 0) + 1
                )  # an uploader of another key is empty
                st.rerun()
