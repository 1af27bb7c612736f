"""The widgets that select how a compressed network is trained."""

from dataclasses import replace

import streamlit as st

from compression.networks.bundled import bundled_names
from compression.networks.untrained import is_untrained
from compression.retraining.recipe import (
    RATES,
    Optimizer,
    Precision,
    Quantizers,
    RateSchedule,
    SparsitySchedule,
    WeightPenalty,
    bit_penalty_problem,
)
from compression.spec import CompressionSpec
from pages.ui.recover.recipe import bits_first, can_be_gradual, scales_of
from pages.ui.state import session
from pages.ui.state.link import BITS_FIRST
from pages.ui.state.value import Settings

EPOCHS = [0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0]
SCALES = {Quantizers.LEARNED: "Learned", Quantizers.FROZEN: "Frozen", Quantizers.PACT: "PACT"}
SCALES_HELP = (
    "Learned: the scale of each group of weights, and of the inputs of each layer, is trained with the weights (LSQ, "
    "Esser et al. 2020). Frozen: scales and codebooks stay as they are. PACT: weights pass a hyperbolic tangent and "
    "fill their range, as in DoReFa-Net, and the clip of the inputs is trained (Choi et al. 2018). It is for schemes "
    "with even steps and for binary weights; with others the scales are learned."
)
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
    "smaller, and accuracy falls. Not for schemes with a codebook and not with PACT."
)
BITS_FIRST_HELP = (
    "In the first half of the steps, weights and quantized layer inputs have more bits, from many to few, as far as "
    "they are more than those of the network; training then begins with weights that are not rounded. It needs learned "
    "scales."
)
PENALTIES = {WeightPenalty.L2: "L2 (weight decay)", WeightPenalty.L1: "L1", WeightPenalty.HUBER: "Huber"}
PENALTY = (
    "What makes weights small. L2 shrinks large weights most; L1 all by the same amount, so that many become exactly "
    "zero before they are pruned; Huber is L2 for small weights and L1 for large ones."
)
SCHEDULE = "Rewound: high again at each stage of iterative pruning (Renda et al. 2020)."
RATE = (
    "It starts high again and falls in a line to zero: with few epochs that gives back more than the low rate at which "
    "training ended (Le and Hua 2021)."
)
PRECISION = (
    "What the forward and backward pass compute in. Bfloat16 is faster on processors that multiply in it, and slower "
    "on others: compare the estimates beside *Train*. The weights, and the network that is measured, stay float32."
)


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
                list(SCALES),
                format_func=lambda scales: SCALES[scales],
                help=SCALES_HELP,
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
        with st.popover("More", icon=":material/tune:", width="content"):
            left, right = st.columns(2, gap="medium")
            with left:
                _loss(now, spec)
                st.number_input("Seed", 0, 1_000_000, step=1, **session.bound("training_seed", now.training_seed))
            with right:
                _steps(now, spec)


def _loss(now: Settings, spec: CompressionSpec) -> None:
    """Draws what the loss is, besides that of the labels."""
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
        format_func=lambda name: name or ("none yet" if is_untrained(now.model) else "the float network"),
        disabled=not now.distillation,
        **session.bound("teacher", now.teacher),
    )
    st.select_slider(
        "Accuracy against bytes (bit penalty)",
        sorted({*BIT_PENALTIES, now.bit_penalty}),
        help=BITS,
        disabled=bit_penalty_problem(spec, scales_of(now, spec)) is not None,
        **session.bound("bit_penalty", now.bit_penalty),
    )
    st.selectbox(
        "Weight penalty",
        list(WeightPenalty),
        format_func=lambda penalty: PENALTIES[penalty],
        help=PENALTY,
        **session.bound("weight_penalty", now.weight_penalty),
    )


def _steps(now: Settings, spec: CompressionSpec) -> None:
    """Draws how its gradient is followed."""
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
    st.selectbox(
        "Learning rate over the steps",
        list(RateSchedule),
        format_func=str.capitalize,
        help=SCHEDULE,
        **session.bound("rate_schedule", now.rate_schedule),
    )
    st.selectbox(
        "More bits first",
        BITS_FIRST,
        format_func=lambda bits: bits.replace(",", " → ").replace("32", "Float") or "No",
        help=BITS_FIRST_HELP,
        disabled=not bits_first(replace(now, bits_first="32"), spec),
        **session.bound("bits_first", now.bits_first),
    )
    st.selectbox(
        "Precision of a step",
        list(Precision),
        help=PRECISION,
        **session.bound("precision", now.precision),
    )
