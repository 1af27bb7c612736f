"""How a compressed network is trained: the widgets, and the recipe that they select."""

import streamlit as st

from compression.library.recovered import ancestor
from compression.networks.bundled import bundled_names
from compression.retraining.recipe import (
    RATES,
    Optimizer,
    Quantizers,
    Recipe,
    SparsitySchedule,
    bit_penalty_problem,
)
from compression.retraining.start import whole_spec
from compression.spec import CompressionSpec, Structure
from pages.ui.compute import networks
from pages.ui.state import session
from pages.ui.state.value import Settings

EPOCHS = [0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0]
LEARNED = "Learned: the scale of each group of weights, and of the inputs of each layer, is trained with the weights. "
SCHEDULES = (
    "One-shot: all weights are pruned at the start. Cubic: more and more of them in the first half of the steps, fast "
    "at first (Zhu and Gupta 2017). Iterative: in five equal stages."
)
DISTILLATION = (
    "The share of the loss that compares the outputs with those of a teacher, by default of the float network. "
    "Published gains on CIFAR-10 go from 0 to 1.5 points, so expect little."
)
BIT_PENALTIES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
BITS = (
    "The loss that one bit per weight adds, by the entropy of the codes: with more, training makes the packed file "
    "smaller, and accuracy falls. Not for schemes with a codebook."
)
RATE = (
    "It starts high again and falls in a line to zero: with few epochs that gives back more than the low rate at which "
    "training ended (Le and Hua 2021)."
)


def spec_to_train(spec: CompressionSpec) -> CompressionSpec:
    """Returns what training holds: of a network that is compressed already, also what was done to it before."""
    return whole_spec(networks.float_model(spec.model), spec)


def recipe_of(now: Settings, spec: CompressionSpec) -> Recipe:
    """Returns the recipe that the settings select, as far as it concerns `spec`."""
    quantizes = spec.quantizes_weights or spec.activations
    return Recipe(
        epochs=now.epochs,
        optimizer=now.optimizer,
        learning_rate=now.learning_rate,
        quantizers=now.scales if quantizes else Quantizers.LEARNED,
        sparsity_schedule=now.gradual if can_be_gradual(spec) else SparsitySchedule.ONE_SHOT,
        distillation=now.distillation,
        bit_penalty=0.0 if bit_penalty_problem(spec) else now.bit_penalty,
        seed=now.training_seed,
    )


def can_be_gradual(spec: CompressionSpec) -> bool:
    """Returns whether weights can be pruned little by little: towards a sparsity that is known."""
    prune = spec.prune
    return prune is not None and prune.sparsity is not None and prune.structure is not Structure.N_M


def teacher_of(now: Settings, model: str) -> str | None:
    """Returns the name of the teacher, if there is distillation from another network than `model`.

    By default it is the float network, also for a network that was compressed and trained already.
    """
    name = now.teacher or ancestor(model)
    return name if now.distillation and name != model and name in networks.names() else None


def draw(spec: CompressionSpec) -> None:
    """Draws the widgets in a row; those that do not concern `spec` are left out."""
    now = session.now()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.select_slider(
            "Epochs",
            sorted({*EPOCHS, now.epochs}),
            format_func=lambda epochs: f"{float(epochs):g}",
            help="Passes over the 49,000 training images that are not held out.",
            width=260,
            **session.bound("epochs", now.epochs),
        )
        if spec.quantizes_weights or spec.activations:
            st.selectbox(
                "Scales",
                list(Quantizers),
                format_func=str.capitalize,
                help=f"{LEARNED}Frozen: scales and codebooks stay as they are.",
                width=130,
                **session.bound("scales", now.scales),
            )
        if can_be_gradual(spec):
            st.selectbox(
                "Pruning schedule",
                list(SparsitySchedule),
                format_func=str.capitalize,
                help=SCHEDULES,
                width=150,
                **session.bound("gradual", now.gradual),
            )
        with st.popover("More", icon=":material/tune:"):
            _more(now, bit_penalty_problem(spec) is None)


def _more(now: Settings, can_penalize_bits: bool) -> None:
    st.slider(
        "Distillation",
        0.0,
        1.0,
        step=0.1,
        format="percent",
        help=DISTILLATION,
        **session.bound("distillation", now.distillation),
    )
    own = ["", *bundled_names()]
    st.selectbox(
        "Teacher",
        own if now.teacher in own else [*own, now.teacher],
        format_func=lambda name: name or "the float network",
        disabled=not now.distillation,
        **session.bound("teacher", now.teacher),
    )
    st.select_slider(
        "Accuracy against bytes (bit penalty)",
        sorted({*BIT_PENALTIES, now.bit_penalty}),
        help=BITS,
        disabled=not can_penalize_bits,
        **session.bound("bit_penalty", now.bit_penalty),
    )
    st.selectbox(
        "Optimizer",
        list(Optimizer),
        format_func=lambda optimizer: {"sgd": "SGD with momentum", "adam": "Adam"}[optimizer],
        help="With batch norm folded, Adam is the safer choice; without, SGD.",
        **session.bound("optimizer", now.optimizer),
    )
    st.number_input(
        "Learning rate at the start",
        1e-6,
        1.0,
        format="%.4g",
        placeholder=f"{RATES[now.optimizer]:g}, the default",
        help=RATE,
        **session.bound("learning_rate", now.learning_rate),
    )
    st.number_input("Seed", 0, 1_000_000, step=1, **session.bound("training_seed", now.training_seed))
