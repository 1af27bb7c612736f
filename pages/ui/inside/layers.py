"""The section Layers: what one image becomes in each layer, and where noise enters."""

from functools import partial
from html import escape

import streamlit as st

from compression.errors import DataError
from compression.inside.calls import report_layers
from compression.inside.inspector import InspectionReading
from compression.inside.layers import LAYER_IMAGES, LayerReport, LayerSignal
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.accuracy import missing_images
from pages.ui.charts import show
from pages.ui.charts.inside import layers as charts
from pages.ui.compute import images, inside, saliency
from pages.ui.inside import choice, job
from pages.ui.settings import selection
from pages.ui.state import session

STYLE = """
<style>
.inside-channels { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 0.75rem; }
.inside-channels figure { margin: 0; font-size: 0.8rem; }
.inside-channels img { width: 100%; image-rendering: pixelated; display: block; border-radius: 0.25rem; }
</style>
"""
WORDS = f"Compresses each layer alone, and with all before it, on {LAYER_IMAGES} test images"
EXPLANATION = f"""\
Measured on the first {LAYER_IMAGES} test images. SQNR compares the output of a layer, after its batch norm, with that
of the float network: every 6 dB halve the noise. The logits move by the root mean square over images and classes, after
the mean over the classes is taken off. The spread is that between images and places within a channel; where it falls
towards zero, the signal collapses. Batch norm is re-estimated on 1,000 training images without the augmentation of
training, so that its spread can exceed that of the float network."""


def draw(model: str) -> None:
    """Draws the outputs of one layer for one image, and the noise of all layers."""
    spec = selection.spec(model)
    picture = choice.pick(partial(_pick_layer, spec))
    if inside.is_pending(spec):
        st.caption("The network is still being recovered.")
        return
    if picture is not None:
        try:
            _draw_channels(spec, picture)
        except DataError as error:
            st.error(f"This file cannot be used: {error}.", icon=":material/broken_image:")
    dataset = images.test_images()
    if not isinstance(dataset, DataError):
        job.draw("layer signals", spec, partial(inside.layer_signals, spec), _show, WORDS)
    elif picture is not None:
        st.caption("The noise of each layer is measured on test images.")
        missing_images.explain(dataset)


def _layer(spec: CompressionSpec) -> str:
    """Returns the layer whose outputs are shown: the one that is set, or the first one."""
    names, now = saliency.layer_names(spec), session.now().layer
    return now if now in names else names[0]


def _pick_layer(spec: CompressionSpec) -> None:
    st.selectbox("Layer", saliency.layer_names(spec), **session.bound("layer", _layer(spec), st.rerun))


def _draw_channels(spec: CompressionSpec, picture: saliency.Picture) -> None:
    layer = _layer(spec)
    report = saliency.activations(spec, picture, layer)
    captions = ("Float", "Compressed", "Compressed minus float")
    figures = (
        f'<figure><img src="{address}" alt="{escape(f"{caption}: channels of layer {layer}, {picture.name}")}">'
        f"<figcaption>{caption}</figcaption></figure>"
        for caption, address in zip(captions, report.pictures, strict=True)
    )
    st.html(f'{STYLE}<div class="inside-channels">{"".join(figures)}</div>')
    channels = (
        f"All {report.channels:,} channels"
        if report.shown == report.channels
        else f"The first {report.shown} of {report.channels:,} channels"
    )
    st.caption(
        f"{picture.name}. {channels} of the output of {layer}, row by row, on one colour scale: red is positive, blue "
        f"negative, full colour is ±{report.most:.3g}. SQNR for this image: {wording.decibels(report.sqnr_db)}."
    )


def _show(reading: InspectionReading) -> None:
    if reading.done:
        _draw_report(report_layers(reading.results))
    st.caption(EXPLANATION)


def _draw_report(report: LayerReport) -> None:
    st.markdown(_verdict(report))
    left, right = st.columns([1, 1], gap="medium")
    with left:
        show.chart(charts.noise(report, show.ink()), "layer noise", "Signal-to-noise ratio of each layer's output")
        show.chart(charts.spread(report, show.ink()), "layer spread", "Spread of the signal in each layer")
    with right:
        show.chart(charts.movement(report, show.ink()), "layer movement", "How far the logits move, by layer")
        _draw_dead_channels(report)


def _verdict(report: LayerReport) -> str:
    noisiest, last = report.noisiest, report.layers[-1]
    if last.accumulated_change == 0:
        return "Compression does not move the logits of these images."
    return (
        f"Compressed alone, **{noisiest.name}** moves the logits most: by {noisiest.alone_change:.2f}. All layers "
        f"together move them by {last.accumulated_change:.2f}, which changes {last.accumulated_flips} of "
        f"{last.images} predictions."
    )


def _draw_dead_channels(report: LayerReport) -> None:
    rows = [each for each in report.layers if any(_dead_counts(each))]
    if not rows:
        st.caption("No channel has the same output everywhere, and none stays at or below zero.")
        return
    st.dataframe(
        {
            "Layer": [each.name for each in rows],
            "Channels": [each.channels for each in rows],
            "Dead": [f"{each.float_dead} → {each.dead}" for each in rows],
            "Silent": [f"{each.float_silent} → {each.silent}" for each in rows],
        },
        hide_index=True,
        height=charts.HEIGHT,
        alt="Channels that have the same output everywhere, or are never above zero, by layer",
    )
    st.caption(
        "Float → compressed. A dead channel has the same output for all images and places. A silent one is never "
        "above zero, so that a ReLU right behind it passes nothing; where a shortcut is added first, it counts."
    )


def _dead_counts(each: LayerSignal) -> tuple[int, ...]:
    return each.float_dead, each.dead, each.float_silent, each.silent
