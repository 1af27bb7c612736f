"""What is computed at once for either side of the Quantization page, in fragments that a move draws anew."""

import streamlit as st

from compression.inspect.staircase import Staircase
from compression.spec import Clip, CompressionSpec
from pages.ui import wording
from pages.ui.charts import quantization, show, style
from pages.ui.compute import compressed
from pages.ui.quantization import controls
from pages.ui.quantization.controls import FACTS, LAYERS, PICTURES, WORDS, Side
from pages.ui.settings import methods

COLOURS = {Side.LEFT: style.COMPRESSED, Side.RIGHT: style.COMPRESSED_OTHERWISE}


def facts(model: str, side: Side) -> None:
    """Size and SQNR of one side, and how well it uses its codes."""

    @st.fragment(key=f"{FACTS} {side}")
    def draw() -> None:
        spec, stairs = _known(model, side)
        size = compressed.answer(spec).size
        first, second = st.columns(2)
        first.metric(
            "Size",
            wording.size(size.best.total),
            f"{wording.times(size.float32 / size.best.total)} smaller",
            delta_color="off",
            delta_arrow="off",
            help=f"The whole network: {size.best.codes:,} bytes of codes, {size.best.scales:,} of scales, zero points, "
            f"codebooks, {size.best.rest:,} of float32 biases and batch norm. float32 takes {size.float32:,} bytes.",
        )
        second.metric(
            "SQNR",
            wording.decibels(stairs.sqnr_db),
            "whole layer" if controls.channel() is None else f"channel {controls.channel()}",
            delta_color="off",
            delta_arrow="off",
            help="Signal-to-quantization-noise ratio: 10 log10 of the sum of squared weights over the sum of squared "
            "errors. Six decibels more are half the error.",
        )

    draw()


def pictures(model: str, side: Side) -> None:
    """The weights and the levels that they get; the staircase and where its error arises."""

    @st.fragment(key=f"{PICTURES} {side}")
    def draw() -> None:
        _, stairs = _known(model, side)
        quantizer = controls.quantizer(side)
        words = f"{wording.capital(quantizer.scheme)}, {quantizer.bits} bit{'s' * (quantizer.bits > 1)}"
        ink, colour = show.ink(), COLOURS[side]
        top = max(max(max(_known(model, each)[1].counts) for each in Side), *stairs.weights.counts)
        show.chart(
            quantization.levels(stairs, words, colour, top, ink),
            f"levels {side}",
            f"Histogram of the float weights, and how many of them get each level of the quantizer, {words}",
        )
        show.chart(
            quantization.staircase(stairs, colour, ink),
            f"staircase {side}",
            f"The staircase from float weight to quantized weight, and where its error arises, {words}",
        )
        st.caption(_use(stairs, int(st.session_state["bits"])))

    draw()


def words(side: Side) -> None:
    """What the scheme of one side does, and its range where it has one that is not full; when they fail, and whose."""

    @st.fragment(key=f"{WORDS} {side}")
    def draw() -> None:
        quantizer = controls.quantizer(side)
        methods.explain(quantizer.scheme)
        if quantizer.clip is not Clip.FULL:
            methods.explain(quantizer.clip)

    draw()


@st.fragment(key=LAYERS)
def layers(model: str) -> None:
    """SQNR of all layers on both sides."""
    found = {side: compressed.answer(controls.spec(model, side)).layers for side in Side}
    names = {side: f"{side}: {controls.quantizer(side).scheme}" for side in Side}
    figure = quantization.sqnr(
        [(names[side], COLOURS[side], found[side]) for side in Side], controls.layer(), show.ink()
    )
    show.chart(figure, "sqnr", "Signal-to-quantization-noise ratio of each layer on both sides, in decibels")


def _known(model: str, side: Side) -> tuple[CompressionSpec, Staircase]:
    spec = controls.spec(model, side)
    return spec, compressed.stairs(spec, controls.layer(), controls.channel())


def _use(stairs: Staircase, wanted_bits: int) -> str:
    """Entropy and clipping in words, and the bits where they are not those of the slider."""
    words = [
        f"{stairs.used:,} of {len(stairs.levels):,} levels used",
        f"entropy of the codes {stairs.entropy_bits:.2f} of {stairs.bits} bit{'s' * (stairs.bits > 1)}",
    ]
    if stairs.clipped is not None:
        words.append(f"{wording.percent(stairs.clipped, 2)} of the weights clipped")
    if stairs.bits != wanted_bits:
        words.append(f"this scheme takes {stairs.bits} bit{'s' * (stairs.bits > 1)}, not {wanted_bits}")
    return "; ".join(words) + "."
