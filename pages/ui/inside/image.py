"""The section Image: what both networks see in one image, and where they look."""

from html import escape

import streamlit as st

from compression.data.cifar10 import TEST
from compression.errors import DataError
from compression.inside.answers import Answer
from compression.inside.own_image import FORMATS, MOST_BYTES
from compression.inside.saliency import Method
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.accuracy import missing_images
from pages.ui.compute import images, inside, saliency
from pages.ui.settings import selection
from pages.ui.state import session

STYLE = """
<style>
.inside-maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 0.75rem; }
.inside-maps figure { margin: 0; font-size: 0.8rem; }
.inside-maps img { width: 9rem; height: 9rem; image-rendering: pixelated; display: block; border-radius: 0.25rem; }
</style>
"""
OWN_HELP = """\
The largest square in the middle is reduced to the size that the network sees. The file is read in memory and not
kept."""
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
    spec, now = selection.spec(model), session.now()
    dataset = images.test_images()
    left, right = st.columns([1, 1.2], gap="medium")
    own = left.file_uploader(
        "Your own image",
        type=[*FORMATS.values(), "jpeg"],
        max_upload_size=MOST_BYTES // 1_000_000,
        key="own image",
        help=OWN_HELP,
    )
    with right:
        if not isinstance(dataset, DataError):
            st.number_input(
                "Number of the test image",
                0,
                TEST.images - 1,
                disabled=own is not None,
                **session.bound("picture", now.picture),
            )
        st.segmented_control(
            "Explanation", list(Method), required=True, **session.bound("explanation", now.explanation)
        )
    if own is None and isinstance(dataset, DataError):
        st.caption("Without the test images of CIFAR-10, upload an image of your own.")
        missing_images.explain(dataset)
    elif inside.is_pending(spec):
        st.caption("The network is still being recovered.")
    else:
        try:
            _draw_report(spec, own.getvalue() if own else None)
        except ValueError as error:
            st.warning(f"{wording.capital(str(error))}.", icon=":material/block:")


def _draw_report(spec: CompressionSpec, own: bytes | None) -> None:
    number, method = session.now().picture, session.now().explanation
    report = saliency.of_own_image(spec, own, method) if own else saliency.of_test_image(spec, number, method)
    if isinstance(report, DataError):
        st.error(f"This file cannot be used: {report}.", icon=":material/broken_image:")
        return
    label = TEST.classes[report.before[0].label]
    name = "Your image" if own else f"Test image {number}, a picture of class {saliency.true_class(number)}"
    of_maps = zip(("Float", "Compressed"), report.pictures, strict=True)
    figures = [(name, name, report.picture)] + [
        (network, f"{method} of the {network.lower()} network for the class {label}", picture)
        for network, picture in of_maps
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
