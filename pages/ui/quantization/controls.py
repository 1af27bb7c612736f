"""What stands on either side of the Quantization page, and what both sides share. Every widget is in the URL."""

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
FACTS, PICTURES, LAYERS, INTEGERS, WORDS = "facts of", "pictures of", "layers of both", "integers of", "words of"
NUMBER, VERDICT = "number of", "verdict"
ANSWER = (
    *(f"{part} {side}" for part in (FACTS, NUMBER, PICTURES) for side in Side),
    LAYERS,
    VERDICT,
    *(f"{part} {side}" for part in (INTEGERS, WORDS) for side in Side),
    frame.LINKS,
)


def spec(model: str, side: Side) -> CompressionSpec:
    """What the widgets of one side say now, in whichever run: nothing is pruned."""
    return CompressionSpec(model, None, quantizer(side), fold_bn=st.session_state["fold"])


def quantizer(side: Side) -> QuantSpec:
    """The quantizer that the widgets of one side say."""
    said = st.session_state
    scheme = Scheme(said[f"{side}_scheme"])
    clip = said[f"{side}_clip"] if scheme.clippable else Clip.FULL
    return QuantSpec(scheme.nearest_bits(int(said["bits"])), scheme, said[f"{side}_granularity"], clip)


def layer() -> str:
    """The layer whose weights are shown."""
    return st.session_state["layer"]


def filter_shown() -> int:
    """The output channel whose filter is shown."""
    return st.session_state["channel"]


def channel() -> int | None:
    """The output channel whose weights are shown; None: all, since on both sides one quantizer is for all of them."""
    by_channel = any(st.session_state[f"{side}_granularity"] != Granularity.TENSOR for side in Side)
    return filter_shown() if by_channel else None


def pick(side: Side) -> None:
    """Scheme, range and granularity of one side."""
    with st.container(horizontal=True, gap="xsmall"):
        schemes: list[Scheme] = list(AUTOMATIC_SCHEMES)  # a given step has the bits it has
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
            "Range",
            list(Clip),
            key=f"{side}_clip",
            bind="query-params",
            help=widgets.CLIPS,
            disabled=not Scheme(scheme).clippable,
            width=118,
            on_change=_moved,
        )
        st.segmented_control(
            "A scale for each",
            GRANULARITIES,
            default=Granularity.TENSOR,
            required=True,
            key=f"{side}_granularity",
            bind="query-params",
            help="One scale (or codebook) for the whole weight tensor, or one for each output channel.",
        )


def shared(model: str) -> None:
    """Bits, and which weights to look at. Call it when both sides are drawn."""
    bits, which, where, fold = st.columns([1.2, 0.9, 0.9, 0.9], vertical_alignment="bottom", gap="medium")
    with fold:
        folded = widgets.fold_toggle(model, on_change=_moved)
    with bits:
        st.select_slider(
            "Bits a weight, on both sides", BITS, START_BITS, key="bits", bind="query-params", on_change=_moved
        )
    cards = {card.name: card for card in networks.layer_cards(model, folded)}
    with which:
        name = st.selectbox("Layer shown", list(cards), min(1, len(cards) - 1), key="layer", bind="query-params")
    with where:
        st.selectbox(
            "Output channel",
            range(cards[name].shape[0]),
            key="channel",
            bind="query-params",
            help="Its integers are shown below. Where each channel has a scale of its own, the charts show this one "
            "channel on both sides; otherwise the whole layer.",
            on_change=_moved,
        )


def _moved() -> None:
    frame.rerun_answer(ANSWER)
