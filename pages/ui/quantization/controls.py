"""The widgets of both sides of the page Quantization, and those that they share. The link holds all their values."""

from enum import StrEnum

import streamlit as st

from compression.spec import AUTOMATIC_SCHEMES, Clip, CompressionSpec, Granularity, QuantSpec, Scheme
from pages.ui.compute import networks
from pages.ui.frame import frame
from pages.ui.settings import widgets


class Side(StrEnum):
    LEFT = "left"
    RIGHT = "right"


BITS = ["8", "7", "6", "5", "4", "3", "2", "1"]
START_BITS = "4"
START = {Side.LEFT: Scheme.SYMMETRIC, Side.RIGHT: Scheme.K_MEANS}
GRANULARITIES = [Granularity.TENSOR, Granularity.CHANNEL]
FACTS, PICTURES, LAYERS, INTEGERS, EXPLANATION = (
    "facts of",
    "pictures of",
    "layers of both",
    "integers of",
    "explanation of",
)
NUMBER, COMPARISON = "number of", "comparison"
ANSWER = (
    *(f"{part} {side}" for part in (FACTS, NUMBER, PICTURES) for side in Side),
    LAYERS,
    COMPARISON,
    *(f"{part} {side}" for part in (INTEGERS, EXPLANATION) for side in Side),
    frame.LINKS,
)


def spec(model: str, side: Side) -> CompressionSpec:
    """Returns the spec that the widgets of one side select, without pruning."""
    return CompressionSpec(model, None, quantizer(side), fold_bn=st.session_state["fold"])


def quantizer(side: Side) -> QuantSpec:
    """Returns the quantizer that the widgets of one side select."""
    state = st.session_state
    scheme = Scheme(state[f"{side}_scheme"])
    clip = state[f"{side}_clip"] if scheme.clippable else Clip.FULL
    return QuantSpec(scheme.nearest_bits(int(state["bits"])), scheme, state[f"{side}_granularity"], clip)


def layer() -> str:
    """Returns the layer whose weights are shown."""
    return st.session_state["layer"]


def filter_shown() -> int:
    """Returns the output channel whose filter is shown."""
    return st.session_state["channel"]


def channel() -> int | None:
    """Returns the output channel whose weights are shown, or None for all: both sides have one scale per tensor."""
    by_channel = any(st.session_state[f"{side}_granularity"] != Granularity.TENSOR for side in Side)
    return filter_shown() if by_channel else None


def pick(side: Side) -> None:
    """Draws scheme, clipping range and granularity of one side."""
    with st.container(horizontal=True, gap="xsmall"):
        schemes: list[Scheme] = list(AUTOMATIC_SCHEMES)  # not the scheme step, whose bits follow from its step
        scheme = st.selectbox(
            f"Scheme, {side}",
            schemes,
            schemes.index(START[side]),
            key=f"{side}_scheme",
            bind="query-params",
            help=widgets.SCHEMES,
            width=138,
        )
        st.selectbox(
            "Clipping range",
            list(Clip),
            key=f"{side}_clip",
            bind="query-params",
            help=widgets.CLIPS,
            disabled=not Scheme(scheme).clippable,
            width=118,
            on_change=_moved,
        )
        st.segmented_control(
            "Quantization granularity",
            GRANULARITIES,
            default=Granularity.TENSOR,
            required=True,
            key=f"{side}_granularity",
            bind="query-params",
            help="What shares one scale or codebook: all weights of the layer, or those of one output channel.",
        )


def shared(model: str) -> None:
    """Draws the bits and the pickers of layer and channel. Call it after both sides are drawn."""
    bits_place, layer_place, channel_place, fold_place = st.columns(
        [1.2, 0.9, 0.9, 0.9], vertical_alignment="bottom", gap="medium"
    )
    with fold_place:
        folded = widgets.fold_toggle(model, on_change=_moved)
    with bits_place:
        st.select_slider(
            "Bits per weight, both sides", BITS, START_BITS, key="bits", bind="query-params", on_change=_moved
        )
    cards = {card.name: card for card in networks.layer_cards(model, folded)}
    with layer_place:
        name = st.selectbox("Layer shown", list(cards), min(1, len(cards) - 1), key="layer", bind="query-params")
    with channel_place:
        st.selectbox(
            "Output channel",
            range(cards[name].shape[0]),
            key="channel",
            bind="query-params",
            help="The integers of this channel are shown at the end of the page. If a side has one scale per channel, "
            "the charts of both sides show this channel; otherwise they show the whole layer.",
            on_change=_moved,
        )


def _moved() -> None:
    frame.rerun_answer(ANSWER)
