"""The results of both sides of the page Quantization, in fragments that a slider redraws."""

import streamlit as st

from compression.inspect.staircase import Staircase
from compression.spec import Clip, CompressionSpec
from pages.ui import wording
from pages.ui.charts import quantization, show, style
from pages.ui.compute import compressed
from pages.ui.frame.metrics import size_metric
from pages.ui.frame.warnings import show_warnings
from pages.ui.quantization import controls
from pages.ui.quantization.controls import EXPLANATION, FACTS, LAYERS, PICTURES, Side
from pages.ui.settings import methods

COLOURS = {Side.LEFT: style.COMPRESSED, Side.RIGHT: style.COMPRESSED_OTHERWISE}


def facts(model: str, side: Side) -> None:
    """Shows the size of the network and the SQNR of the layer, for one side."""

    @st.fragment(key=f"{FACTS} {side}")
    def draw() -> None:
        spec, stairs = _staircase(model, side)
        first, second = st.columns(2)
        size_metric(first, compressed.answer(spec), border=False, side=side)
        show_warnings(spec)
        second.metric(
            "SQNR",
            wording.decibels(stairs.sqnr_db),
            "whole layer" if controls.channel(model) is None else f"channel {controls.channel(model)}",
            delta_color="off",
            delta_arrow="off",
            help="Signal-to-quantization-noise ratio: 10 · log10 of the sum of squared weights divided by the sum of "
            "squared errors. Six decibels more mean half the error.",
        )

    draw()


def pictures(model: str, side: Side) -> None:
    """Shows the weights with the levels of the quantizer, and the staircase with its error."""

    @st.fragment(key=f"{PICTURES} {side}")
    def draw() -> None:
        _, stairs = _staircase(model, side)
        quantizer = controls.quantizer(side)
        label = f"{wording.capital(quantizer.scheme)}, {quantizer.bits} bit{'s' * (quantizer.bits > 1)}"
        ink, colour = show.ink(), COLOURS[side]
        top = max(max(max(_staircase(model, each)[1].counts) for each in Side), *stairs.weights.counts)
        show.chart(
            quantization.levels(stairs, label, colour, top, ink),
            f"levels {side}",
            f"Histogram of the float weights, and how many of them are rounded to each level, {label}",
        )
        show.chart(
            quantization.staircase(stairs, colour, ink),
            f"staircase {side}",
            f"Staircase from float weight to quantized weight, and the squared error by weight, {label}",
        )
        st.caption(_usage_in_words(stairs, int(controls.bits())))

    draw()


def explanations(side: Side) -> None:
    """Explains the scheme of one side, and its clipping range if that is not the full one."""

    @st.fragment(key=f"{EXPLANATION} {side}")
    def draw() -> None:
        quantizer = controls.quantizer(side)
        methods.explain(quantizer.scheme)
        if quantizer.clip is not Clip.FULL:
            methods.explain(quantizer.clip)

    draw()


@st.fragment(key=LAYERS)
def layers(model: str) -> None:
    """Shows the SQNR of all layers on both sides."""
    facts = {side: compressed.answer(controls.spec(model, side)).layers for side in Side}
    names = {side: f"{side}: {controls.quantizer(side).scheme}" for side in Side}
    figure = quantization.sqnr(
        [(names[side], COLOURS[side], facts[side]) for side in Side], controls.layer(model), show.ink()
    )
    show.chart(figure, "sqnr", "Signal-to-quantization-noise ratio of each layer on both sides, in decibels")


def _staircase(model: str, side: Side) -> tuple[CompressionSpec, Staircase]:
    spec = controls.spec(model, side)
    return spec, compressed.stairs(spec, controls.layer(model), controls.channel(model))


def _usage_in_words(stairs: Staircase, slider_bits: int) -> str:
    """Returns how well the codes are used, and the bits if they differ from those of the slider."""
    parts = [
        f"{stairs.used_levels:,} of {len(stairs.levels):,} levels used",
        f"entropy of the codes {stairs.entropy_bits:.2f} of {stairs.bits} bit{'s' * (stairs.bits > 1)}",
    ]
    if stairs.clipped_share is not None:
        parts.append(f"{wording.percent(stairs.clipped_share, 2)} of the weights clipped")
    if stairs.bits != slider_bits:
        parts.append(f"this scheme takes {stairs.bits} bit{'s' * (stairs.bits > 1)}, not {slider_bits}")
    return "; ".join(parts) + "."
