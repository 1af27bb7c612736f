"""The widgets of both sides of the page Quantization, and those that they share. They are views of the settings."""

from enum import StrEnum

import streamlit as st

from compression.spec import AUTOMATIC_SCHEMES, Clip, CompressionSpec, Granularity, QuantSpec, Scheme
from pages.ui.compute import networks
from pages.ui.frame import frame
from pages.ui.settings import selection, widgets
from pages.ui.state import session
from pages.ui.state.value import FLOAT


class Side(StrEnum):
    LEFT = "left"
    RIGHT = "right"


BITS = ["8", "7", "6", "5", "4", "3", "2", "1"]
EXAMPLE_BITS = "4"  # where no bits are set
GRANULARITIES = [Granularity.TENSOR, Granularity.CHANNEL]
FACTS, PICTURES, LAYERS, INTEGERS, EXPLANATION = (
    "facts of",
    "pictures of",
    "layers of both",
    "integers of",
    "explanation of",
)
NUMBER, COMPARISON, NOTES = "number of", "comparison", "notes"
ANSWER = (
    *(f"{part} {side}" for part in (FACTS, NUMBER, PICTURES) for side in Side),
    NOTES,
    LAYERS,
    COMPARISON,
    *(f"{part} {side}" for part in (INTEGERS, EXPLANATION) for side in Side),
    frame.LINKS,
)


def spec(model: str, side: Side) -> CompressionSpec:
    """Returns the spec of one side, without pruning."""
    return CompressionSpec(model, None, quantizer(side), fold_bn=selection.settings(model).fold)


def quantizer(side: Side) -> QuantSpec:
    """Returns the quantizer of one side."""
    now = session.now()
    scheme: Scheme = getattr(now, f"{side}_scheme")
    clip = getattr(now, f"{side}_clip") if scheme.clippable else Clip.FULL
    return QuantSpec(scheme.nearest_bits(int(bits())), scheme, getattr(now, f"{side}_granularity"), clip)


def bits() -> str:
    """Returns the bits of both sides: those that are set, or an example where none are."""
    return str(session.now().weight_bits or EXAMPLE_BITS)


def layer(model: str) -> str:
    """Returns the layer whose weights are shown: the one that is set, or the second where none is."""
    names = list(networks.layer_macs(model))
    chosen = session.now().layer
    return chosen if chosen in names else names[min(1, len(names) - 1)]


def filter_shown(model: str) -> int:
    """Returns the output channel whose filter is shown."""
    return min(session.now().channel, _channels(model) - 1)


def channel(model: str) -> int | None:
    """Returns the output channel whose weights are shown, or None for all: both sides have one scale per tensor."""
    by_channel = any(getattr(session.now(), f"{side}_granularity") != Granularity.TENSOR for side in Side)
    return filter_shown(model) if by_channel else None


def _channels(model: str) -> int:
    cards = networks.layer_cards(model, selection.settings(model).fold)
    return next(card.shape[0] for card in cards if card.name == layer(model))


def pick(side: Side) -> None:
    """Draws scheme, clipping range and granularity of one side."""
    now = session.now()
    scheme: Scheme = getattr(now, f"{side}_scheme")
    with st.container(horizontal=True, gap="xsmall"):
        st.selectbox(
            f"Scheme, {side}",
            list(AUTOMATIC_SCHEMES),  # not the scheme step, whose bits follow from its step
            help=widgets.SCHEMES,
            width=138,
            **session.bound(f"{side}_scheme", scheme),
        )
        st.selectbox(
            "Clipping range",
            list(Clip),
            help=widgets.CLIPS,
            disabled=not scheme.clippable,
            width=118,
            **session.bound(f"{side}_clip", getattr(now, f"{side}_clip"), _moved),
        )
        widgets.choose(
            "Quantization granularity",
            GRANULARITIES,
            f"{side}_granularity",
            getattr(now, f"{side}_granularity"),
            "What shares one scale or codebook: all weights of the layer, or those of one output channel.",
        )


def shared(model: str) -> None:
    """Draws the bits and the pickers of layer and channel."""
    bits_place, layer_place, channel_place, fold_place = st.columns(
        [1.2, 0.9, 0.9, 0.9], vertical_alignment="bottom", gap="medium"
    )
    with fold_place:
        widgets.fold_toggle(model, after=_moved)
    with bits_place:
        st.select_slider(
            "Bits per weight, both sides",
            widgets.including(BITS, bits()),
            **session.bound("bits", bits(), _moved),
        )
    with layer_place:
        st.selectbox("Layer shown", list(networks.layer_macs(model)), **session.bound("layer", layer(model)))
    with channel_place:
        st.selectbox(
            "Output channel",
            range(_channels(model)),
            help="The integers of this channel are shown at the end of the page. If a side has one scale per channel, "
            "the charts of both sides show this channel; otherwise they show the whole layer.",
            **session.bound("channel", filter_shown(model), _moved),
        )


@st.fragment(key=NOTES)
def notes(model: str) -> None:
    """Says that the page shows an example, and which settings it leaves out; shows nothing if neither is so."""
    now = session.now()
    if now.weight_bits is None:
        st.caption(
            f":material/info: No bits are set yet. This page shows {EXAMPLE_BITS} bits as an example; the slider sets "
            "what all pages show."
        )
    if selection.spec(model).prune or now.layers or now.inputs != FLOAT:
        st.caption(
            ":material/info: This page compares two quantizers of weights. Pruning, activation bits and the settings "
            "of single layers are left out here; Explore has them."
        )


def _moved() -> None:
    frame.rerun_answer(ANSWER)
