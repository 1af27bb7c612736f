"""The settings that give accuracy back without training."""

import streamlit as st

from compression.spec import Order, Rounding
from compression.spec.title import recovery_steps
from pages.ui.settings import methods, selection
from pages.ui.state import session, specs
from pages.ui.state.value import Settings

WORDS = {  # as the labels of the widgets say, by field of the spec
    "reconstruct": "remaining weights moved",
    "repair_activations": "spread of channels restored",
    "correct_bias": "mean of channels restored",
    "equalize": "channels equalized",
}

PENALTIES = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0)


def draw(model: str) -> None:
    """Draws the steps that set weights and biases from 1,000 training images; the page Recover shows what each wins."""
    now = selection.settings(model)
    folds_last = now.fold and now.order != Order.FOLD_FIRST
    unchanged = now.weight_bits is None and not now.layers
    st.selectbox(
        "Rounding",
        list(Rounding),
        help="Nearest: each weight to the nearest value. Compensated (GPTQ): one weight after another, and the next "
        "ones make up for the error of a layer's output. Learned (AdaRound): up or down, found by gradient descent for "
        "each layer; takes longest. Rate-aware: like compensated, but each layer gets the steps that are worth their "
        "bytes in the file; it needs the scheme symmetric, and the bits are the most that a code has. One scale per "
        "tensor and folded batch norm suit it best.",
        disabled=folds_last or unchanged,
        **session.bound("rounding", now.rounding),
    )
    if specs.spec_of(now).rounding is Rounding.RATE_AWARE:
        st.select_slider(
            "Accuracy against bytes (rate penalty)",
            sorted({*PENALTIES, now.rate_penalty}),
            help="How much error one bit per weight is worth: the errors of the outputs of all layers, as shares of "
            "their energy, added up. To the right, the file becomes smaller and the network less accurate.",
            **session.bound("rate_penalty", now.rate_penalty),
        )
    methods.explain(specs.spec_of(now).rounding)
    for key, label, text in (
        (
            "reconstruct",
            "Move the weights that pruning keeps",
            "So that the outputs of each layer stay (least squares).",
        ),
        ("repair", "Give channels their spread back", "The mean and the standard deviation of each output channel."),
        ("correct_bias", "Give channels their mean back", "Bias correction (Nagel et al. 2019), from images."),
    ):
        st.toggle(
            label,
            help=f"{text} Uses 1,000 training images without their labels.",
            disabled=folds_last,
            **session.bound(key, getattr(now, key)),
        )
    st.toggle(
        "Equalize channels",
        help="Rescales channels between two layers so that both use their ranges equally (Nagel et al. 2019). The "
        "float network computes the same; one scale per tensor then fits more channels. Needs folded batch norm.",
        disabled=not now.fold or folds_last,
        **session.bound("equalize", now.equalize),
    )


def words(now: Settings) -> list[str]:
    """Returns the steps that take effect with the settings `now`, in words. Re-estimated batch norm is none of them."""
    return recovery_steps(specs.spec_of(now), WORDS)
