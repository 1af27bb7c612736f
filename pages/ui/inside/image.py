"""The section Image: what both networks see in one image, and where they look."""

from html import escape

import streamlit as st

from compression.data.cifar10 import TEST
from compression.errors import DataError
from compression.inside.answers import Answer
from compression.inside.inspector import InspectionReading
from compression.inside.saliency import MapPair, Method
from compression.inside.superpixels import GRID, SAMPLES
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.compute import inside, saliency
from pages.ui.compute.saliency import Picture
from pages.ui.frame.warnings import show_notice, without_folders
from pages.ui.inside import choice
from pages.ui.settings import selection
from pages.ui.state import session

STYLE = """
<style>
.inside-maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 0.75rem; }
.inside-maps figure { margin: 0; font-size: 0.8rem; }
.inside-maps img { width: 9rem; height: 9rem; image-rendering: pixelated; display: block; border-radius: 0.25rem; }
</style>
"""
POLL_SECONDS = 0.3
METHODS = {
    Method.GRAD_CAM: "Grad-CAM adds up the outputs of the last convolution, each channel weighted by its mean gradient "
    "(Selvaraju et al. 2017). It is as coarse as this layer, and shows only what speaks for the class.",
    Method.INTEGRATED_GRADIENTS: "Integrated gradients add up the gradients between a grey image and this one "
    "(Sundararajan et al. 2017). They assume that grey means nothing.",
    Method.OCCLUSION: "Occlusion covers the image with a grey square and shows how far the logit falls at each place "
    "(Zeiler and Fergus 2014). The square is a quarter as wide as the image. It assumes that grey means nothing.",
    Method.LIME: f"LIME covers random ones of {GRID} x {GRID} squares with grey, {SAMPLES} times, and fits a linear "
    "model of the logit in which samples like the image weigh more (Ribeiro et al. 2016). It assumes that squares add "
    "up.",
    Method.KERNEL_SHAP: f"KernelSHAP estimates the Shapley value of each of {GRID} x {GRID} squares from {SAMPLES} "
    "coalitions of squares: what it adds to the logit, in the mean over all orders of adding squares to a grey image "
    "(Lundberg and Lee 2017). The values add up to the change of the logit. It assumes that grey means nothing.",
}
ROUNDING = "Gradients pass the rounding of activations as if it did not round (straight-through estimator)."


def draw(model: str) -> None:
    """Draws the choice of an image, the predictions of both networks, and their saliency maps."""
    spec = selection.spec(model)
    picture = choice.pick(_pick_method)
    if picture is None:
        return
    if inside.is_pending(spec):
        st.caption("The network is still being recovered.")
        return
    try:
        _draw_report(spec, picture)
    except DataError as error:
        st.error(f"This file cannot be used: {error}.", icon=":material/broken_image:")
    except ValueError as error:
        st.warning(f"{wording.capital(str(error))}.", icon=":material/block:")


def _pick_method() -> None:
    st.selectbox("Explanation", list(Method), **session.bound("explanation", session.now().explanation, st.rerun))


def _draw_report(spec: CompressionSpec, picture: Picture) -> None:
    predictions = saliency.predictions(spec, picture)
    st.table(
        {
            "Network": ["Float", "Compressed"],
            **{
                place: [_answer(each[rank]) for each in (predictions.before, predictions.after)]
                for rank, place in enumerate(("First", "Second", "Third"))
            },
        },
        border="horizontal",
    )
    method = session.now().explanation
    waiting = not _is_complete(saliency.maps(spec, picture, method))

    @st.fragment(run_every=POLL_SECONDS if waiting else None)
    def again() -> None:
        reading = saliency.maps(spec, picture, method)
        if waiting and _is_complete(reading):
            st.rerun()
        _draw_maps(spec, picture, predictions, reading)

    again()


def _is_complete(reading: InspectionReading) -> bool:
    return reading.done or reading.error is not None


def _draw_maps(
    spec: CompressionSpec, picture: Picture, predictions: saliency.Predictions, reading: InspectionReading
) -> None:
    method, label = session.now().explanation, TEST.classes[predictions.before[0].label]
    if reading.error:
        st.warning(f"{wording.capital(without_folders(reading.error))}.", icon=":material/block:")
    figures = [(picture.name, picture.name, predictions.picture)]
    maps = reading.results[0] if reading.done else None
    if maps:
        figures += [
            (network, f"{method} of the {network.lower()} network for the class {label}", address)
            for network, address in zip(("Float", "Compressed"), saliency.map_pictures(maps), strict=True)
        ]
    st.html(f'{STYLE}<div class="inside-maps">{"".join(_figure(*each) for each in figures)}</div>')
    if maps:
        st.markdown(_in_words(label, maps.correlation))
        st.caption(_explanation(spec, maps, method))
    elif not reading.error:
        st.caption("The workers are computing both maps.")
    show_notice(reading.notice)


def _figure(caption: str, alt: str, picture: str) -> str:
    return f'<figure><img src="{picture}" alt="{escape(alt)}"><figcaption>{escape(caption)}</figcaption></figure>'


def _answer(each: Answer) -> str:
    return f"{TEST.classes[each.label]} {wording.percent(each.probability)}"


def _in_words(label: str, correlation: float | None) -> str:
    if correlation is None:
        return "One of the maps has the same value everywhere, so the maps have no rank correlation."
    return (
        f"Rank correlation of both maps: **{correlation:+.2f}** (+1: the same places count, 0: no relation). Both maps "
        f"are for the class **{label}**, which the float network predicts, and share one colour scale: red speaks for "
        "the class, blue against it."
    )


def _explanation(spec: CompressionSpec, maps: MapPair, method: Method) -> str:
    sentences = [METHODS[method]]
    if method is Method.INTEGRATED_GRADIENTS:
        gaps = [wording.percent(each.gap) for each in (maps.before, maps.after)]
        sentences.append(f"Their sum differs from the change of the logit by {gaps[0]} (float) and {gaps[1]}.")
    if spec.activations and method in (Method.GRAD_CAM, Method.INTEGRATED_GRADIENTS):
        sentences.append(ROUNDING)
    return " ".join([*sentences, f"Both maps took {maps.seconds:.2f} s."])
