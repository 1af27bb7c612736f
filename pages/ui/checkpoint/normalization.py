"""The normalisation of an uploaded checkpoint: what it is based on, and a choice of another one."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from compression.evaluation.normalization_trial import NormalizationChoice, choice_in_words
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from pages.ui import wording
from pages.ui.compute import uploads


def pick(model: FloatModel) -> FloatModel:
    """Shows on what the normalisation is based; returns the network with the one that the reader picks.

    With another normalisation it is another network with a name of its own, beside the first one.
    """
    if model.about.get("packed"):
        st.caption(
            f"The file states its normalisation: {model.normalization.name}. Its checksums reveal damage, not a change "
            "that somebody made on purpose: whoever changes a packed file can compute them again."
        )
        return model
    choice = model.about.get("choice")
    if choice is None:
        st.warning(
            "The normalisation of this checkpoint is unknown, and without CIFAR-10 it cannot be found by trying. "
            f"“{model.normalization.name}” is assumed.",
            icon=":material/help:",
        )
    elif choice.is_certain:
        st.caption(choice_in_words(choice))
    else:
        st.warning(choice_in_words(choice), icon=":material/help:")
    names = list(NORMALIZATIONS)
    name = st.selectbox(
        "Normalisation",
        names,
        names.index(model.normalization.name),
        key=f"normalization {model.name}",
        help="Images are normalised as they were in training. The one with the lowest loss is used, because the loss "
        "changes with every image, while accuracy only counts whole images. Pick another one if you know better.",
    )
    if choice:
        _trials(choice)
    if name == model.normalization.name:
        return model
    other = f"{model.name}-{name}"
    if other not in uploads.own():
        uploads.keep(replace(model, name=other, normalization=NORMALIZATIONS[name]), spared=model.name)
    return uploads.own()[other]


def _trials(choice: NormalizationChoice) -> None:
    """Shows the normalisations that were tried, best first."""
    normalizations = [NORMALIZATIONS[trial.normalization] for trial in choice.trials]
    st.dataframe(
        pd.DataFrame(
            {
                "Normalisation": [n.name for n in normalizations],
                "Mean": [" ".join(f"{value:g}" for value in n.mean) for n in normalizations],
                "Std": [" ".join(f"{value:g}" for value in n.std) for n in normalizations],
                "Images": [f"{trial.images:,}" for trial in choice.trials],
                "Accuracy": [wording.percent(trial.accuracy, 2) for trial in choice.trials],
                "Loss": ["not finite" if trial.loss is None else f"{trial.loss:.4f}" for trial in choice.trials],
            }
        ),
        hide_index=True,
        alt="Tried normalisations with accuracy and loss",
    )
