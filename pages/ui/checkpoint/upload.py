"""An uploaded checkpoint: its architecture, its normalisation, and its accuracy."""

import hashlib
import re
from typing import Any

import streamlit as st

from compression.errors import CheckpointError, DataError
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.normalization_trial import float_model
from compression.evaluation.stated import Agreement, agreement, compare_stated, stated_in_words
from compression.files.exported import is_packed, load_exported
from compression.networks.checkpoints.reading import MAX_BYTES, Checkpoint, read_checkpoint
from compression.networks.checkpoints.recognition import Recognition, recognise_checkpoint
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.accuracy import panel
from pages.ui.checkpoint import normalization, shelf
from pages.ui.compute import accuracy, images, uploads
from pages.ui.state import link, session

KINDS = ("pth", "pt", "th", "tar", "bin", "safetensors")
NAME_LENGTH = 40


def ask() -> tuple[Any, float | None]:
    """Shows the inputs; returns the file and the expected accuracy (0..1), each None if it is not given."""
    file = st.file_uploader(
        "A checkpoint for CIFAR-10",
        type=list(KINDS),
        max_upload_size=MAX_BYTES // 1_000_000,
        key=f"checkpoint {st.session_state.get(shelf.FORGOTTEN, 0)}",
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
        "Supported architectures: ResNet-8 to -110 for CIFAR with both kinds of shortcuts, ResNet-18, -34 and -50, "
        "VGG-11 to -19, MobileNet, MobileNetV2, ShuffleNetV2, RepVGG, LeNet-5 and the network of PyTorch's tutorial, "
        "and the bundled networks; most of them at any width. The state dict may be inside a training script's "
        "checkpoint, come from DataParallel or torch.compile, be pruned by torch.nn.utils.prune, or have batch norm "
        "folded. Files that Deploy exports as safetensors are read too."
    )
    return file, None if stated is None else stated / 100


def answer(file: Any, stated: float | None) -> None:
    """Shows what the file is, or why it cannot be used."""
    if file is None:
        st.info("Upload a checkpoint. Your network then appears in the picker of every page.", icon=":material/upload:")
        return
    name = _name(file.name, file.getvalue())
    try:
        model = _network(file, name)
        if entries := model.about.get("entries"):
            entry = _entry(name, entries)
            model = _network(file, f"{name}-{_plain(entry)}", entry) if entry else model
    except CheckpointError as error:
        st.error(f"This file cannot be used: {error}.", icon=":material/broken_image:")
        return
    st.success(f"{wording.capital(model.about['recognised'])}.", icon=":material/verified:")
    model = normalization.pick(model)
    _accuracy(model, stated)
    st.page_link(
        "app.py",
        label=f"Explore {model.name}",
        icon=":material/tune:",
        query_params=link.parameters(session.of_network(session.now(), model.name)),
    )


def _network(file: Any, name: str, entry: str | None = None) -> FloatModel:
    """Returns the network called `name` in a file; reads it unless this session has it. Raises CheckpointError."""
    if name not in uploads.own():
        content, plain = file.getvalue(), _plain(file.name)
        checkpoint = read_checkpoint(content, plain, entry=entry)
        if is_packed(checkpoint.metadata):
            uploads.keep(load_exported(content, plain, name))
        else:
            _store(name, plain, checkpoint, recognise_checkpoint(checkpoint))
    return uploads.own()[name]


def _entry(name: str, entries: tuple[str, ...]) -> str | None:
    """Shows which weights a file with several holds; returns the place of those that the reader picks, if others."""
    return st.selectbox(
        "Weights",
        (None, *entries),
        key=f"entry {name}",
        format_func=lambda entry: f"“{_plain(entry)}”" if entry else "the likeliest",
        help="The file holds weights in several places, such as those of the last step and their moving average.",
    )


def _plain(file_name: str) -> str:
    """Returns a file name without characters that Markdown would render, at most NAME_LENGTH long.

    Underscores stay between letters or digits, where Markdown does not render them.
    """
    words = re.sub(r"[^A-Za-z0-9._-]+", "_", file_name)[-NAME_LENGTH:]
    return re.sub(r"(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])", "", words)


def _name(file_name: str, content: bytes) -> str:
    """Returns a name that no other content has, and that cannot be guessed without the content."""
    return f"{_plain(file_name).rpartition('.')[0].strip('-.') or 'network'}-{hashlib.sha256(content).hexdigest()[:12]}"


def _store(name: str, file_name: str, checkpoint: Checkpoint, recognised: Recognition) -> None:
    """Finds the normalisation and stores the network in this session. Raises CheckpointError if no trial is finite."""
    dataset = images.trial_images()
    basis = NORMALIZATIONS["cifar10"] if isinstance(dataset, DataError) else dataset
    bar = st.empty()

    def show(share: float) -> None:
        bar.progress(share, "Trying normalisations")

    show(0.0)
    try:
        model = float_model(name, checkpoint, recognised, basis, f"your file {file_name}", show)
    finally:
        bar.empty()
    uploads.keep(model)


def _accuracy(model: FloatModel, stated: float | None) -> None:
    """Shows the accuracy on all test images while it is measured, beside what the file says and the reader expects."""
    says = model.about.get("accuracies", {})
    if isinstance(images.test_images(), DataError):
        for name, value in says.items():
            st.caption(f"The file says {wording.percent(value, 2)} ({name}). Nothing can be counted without images.")
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
        if comparison := compare_stated(says, reading.whole):
            words = stated_in_words(comparison, reading.whole)
            if comparison.agreement is Agreement.SAME:
                st.markdown(words)
            else:
                st.warning(words, icon=":material/compare_arrows:")
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
    match agreement(stated, counted):
        case Agreement.SAME:
            return f"{measured} This is the accuracy that you expected."
        case Agreement.WITHIN:
            return f"{measured} You expected {expected}: the difference of {difference} lies within the interval."
        case Agreement.OUTSIDE:
            return (
                f"{measured} You expected {expected}: the difference of **{difference}** is more than chance. Was the "
                "expected accuracy measured on these images, with this normalisation, without test-time augmentation?"
            )
