"""The section Image: what both networks see in one image, and where they look."""

from html import escape

import streamlit as st

from compression.data.cifar10 import TEST
from compression.errors import DataError
from compression.inside.answers import Answer
from compression.inside.saliency import Method
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.compute import inside, saliency
from pages.ui.compute.saliency import Picture
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
METHODS = {
    Method.GRAD_CAM: "Grad-CAM adds up the outputs of the last convolution, each channel weighted by its mean gradient "
    "(Selvaraju et al. 2017). It is as coarse as this layer, and shows only what speaks for the class.",
    Method.INTEGRATED_GRADIENTS: "Integrated gradients add up the gradients between a grey image and this one "
    "(Sundararajan et al. 2017). They assume that grey means nothing.",
    Method.OCCLUSION: "Occlusion covers the image with a grey square and shows how far the logit falls at each place "
    "(Zeiler and Fergus 2014). The square is a quarter as wide as the image. It assumes that grey means nothing.",
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
    st.selectbox("Explanation", list(Method), **session.bound("explanation", session.now().explanation))


def _draw_report(spec: CompressionSpec, picture: Picture) -> None:
    method = session.now().explanation
    report = saliency.report(spec, picture, method)
    label = TEST.classes[report.before[0].label]
    of_maps = zip(("Float", "Compressed"), report.pictures, strict=True)
    figures = [(picture.name, picture.name, report.picture)] + [
        (network, f"{method} of the {network.lower()} network for the class {label}", address)
        for network, address in of_maps
    ]
    st.html(f'{STYLE}<div class="inside-maps">{"".join(_figure(*each) for each in figures)}</div>')
    st.markdown(_in_words(label, report.maps.correlation))
    st.table(
        {
            "Network": ["Float", "Compressed"],
            **{
                place: [_answer(each[rank]) for each in (report.before, report.after)]
                for rank, place in enumerate(("First", "Second", "Third"))
            },
        },
        border="horizontal",
    )
    st.caption(_explanation(spec, report, method))


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


def _explanation(spec: CompressionSpec, report: saliency.ImageReport, method: Method) -> str:
    sentences = [METHODS[method]]
    if method is Method.INTEGRATED_GRADIENTS:
        gaps = [wording.percent(each.gap) for each in (report.maps.before, report.maps.after)]
        sentences.append(f"Their sum differs from the change of the logit by {gaps[0]} (float) and {gaps[1]}.")
    if spec.activations and method is not Method.OCCLUSION:
        sentences.append(ROUNDING)
    return " ".join([*sentences, f"Both maps took {report.maps.seconds:.2f} s."])
