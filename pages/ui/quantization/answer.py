"""What is computed at once for either side of the Quantization page, in fragments that a move draws anew."""

import streamlit as st

from compression.inspect.staircase import Staircase
from compression.spec import Clip, CompressionSpec
from pages.ui import compute, format
from pages.ui.charts import quantization as charts_quantization
from pages.ui.charts import show
from pages.ui.charts import style as charts
from pages.ui.quantization import controls as quantization_controls
from pages.ui.quantization.controls import FACTS, LAYERS, PICTURES, WORDS, Side
from pages.ui.settings import methods

COLOURS = {Side.LEFT: charts.COMPRESSED, Side.RIGHT: charts.COMPRESSED_OTHERWISE}


def facts(model: str, side: Side) -> None:
    """Size and SQNR of one side, and how well it uses its codes."""

    @st.fragment(key=f"{FACTS} {side}")
    def draw() -> None:
        spec, stairs = _known(model, side)
        size = compute.answer(spec).size
        first, second = st.columns(2)
        first.metric(
            "Size",
            format.size(size.best.total),
            f"{format.times(size.float32 / size.best.total)} smaller",
            delta_color="off",
            delta_arrow="off",
            help=f"The whole network: {size.best.codes:,} bytes of codes, {size.best.scales:,} of scales, zero points, "
            f"codebooks, {size.best.rest:,} of float32 biases and batch norm. float32 takes {size.float32:,} bytes.",
        )
        second.metric(
            "SQNR",
            format.decibels(stairs.sqnr_db),
            "whole layer" if quantization_controls.channel() is None else f"channel {quantization_controls.channel()}",
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
        spec, stairs = _known(model, side)
        name, bits = spec.weights.scheme, spec.weights.bits
        words = f"{format.capital(name)}, {bits} bit{'s' * (bits > 1)}"
        ink, colour = show.ink(), COLOURS[side]
        top = max(max(max(_known(model, each)[1].counts) for each in Side), *stairs.weights.counts)
        show.chart(
            charts_quantization.levels(stairs, words, colour, top, ink),
            f"levels {side}",
            f"Histogram of the float weights, and how many of them get each level of the quantizer, {words}",
        )
        show.chart(
            charts_quantization.staircase(stairs, colour, ink),
            f"staircase {side}",
            f"The staircase from float weight to quantized weight, and where its error arises, {words}",
        )
        st.caption(_use(stairs, int(st.session_state["bits"])))

    draw()


def words(model: str, side: Side) -> None:
    """What the scheme of one side does, and its range where it has one that is not full; when they fail, and whose."""

    @st.fragment(key=f"{WORDS} {side}")
    def draw() -> None:
        weights = quantization_controls.spec(model, side).weights
        methods.say(weights.scheme)
        if weights.clip is not Clip.FULL:
            methods.say(weights.clip)

    draw()


@st.fragment(key=LAYERS)
def layers(model: str) -> None:
    """SQNR of all layers on both sides."""
    found = {side: compute.answer(quantization_controls.spec(model, side)).layers for side in Side}
    names = {side: f"{side}: {quantization_controls.spec(model, side).weights.scheme}" for side in Side}
    figure = charts_quantization.sqnr(
        [(names[side], COLOURS[side], found[side]) for side in Side], quantization_controls.layer(), show.ink()
    )
    show.chart(figure, "sqnr", "Signal-to-quantization-noise ratio of each layer on both sides, in decibels")


def _known(model: str, side: Side) -> tuple[CompressionSpec, Staircase]:
    spec = quantization_controls.spec(model, side)
    return spec, compute.stairs(spec, quantization_controls.layer(), quantization_controls.channel())


def _use(stairs: Staircase, wanted_bits: int) -> str:
    """Entropy and clipping in words, and the bits where they are not those of the slider."""
    words = [
        f"{stairs.used:,} of {len(stairs.levels):,} levels used",
        f"entropy of the codes {stairs.entropy_bits:.2f} of {stairs.bits} bit{'s' * (stairs.bits > 1)}",
    ]
    if stairs.clipped is not None:
        words.append(f"{format.percent(stairs.clipped, 2)} of the weights clipped")
    if stairs.bits != wanted_bits:
        words.append(f"this scheme takes {stairs.bits} bit{'s' * (stairs.bits > 1)}, not {wanted_bits}")
    return "; ".join(words) + "."
