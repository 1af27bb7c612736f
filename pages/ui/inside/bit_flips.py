"""The section Bit flips: what single flipped bits of the stored weights cost."""

import streamlit as st

from compression.inside.bits.packed import FileFlips
from compression.inside.bits.report import SEEDS, StorageReport
from compression.inside.bits.worst import CANDIDATES, GRADIENT_IMAGES
from compression.inside.inspector import InspectionReading
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.charts import show
from pages.ui.charts.inside import bit_flips as charts
from pages.ui.compute import inside
from pages.ui.inside import job
from pages.ui.settings import selection

WORDS = "Flips bits of the weights in several storages, and counts"
EXPLANATION = f"""\
Weights lie one after another in memory: float32 (bit 31 is the sign, 30 to 23 the exponent), or codes, which in the
usual storages are symmetric with a scale per channel and in two's complement. Bits are drawn with fixed seeds, each
equally likely; bars are the range of {len(SEEDS)} draws. An image whose logits are not finite counts as wrong. Biases,
batch norm and scales are not flipped. The worst bit is the worst of {CANDIDATES} candidates: in each layer the bit with
the largest |gradient times change of the weight| on {GRADIENT_IMAGES} test images (Rakin, He and Fan 2019), each of
them counted. Another bit may be worse still."""


def draw(model: str) -> None:
    """Draws the accuracy after flips, the worst bit, and the packed file, or why they are not known."""
    job.draw_on_images("bit flips", selection.spec(model), inside.bit_flips, _show, WORDS)


def _show(spec: CompressionSpec, count: int, reading: InspectionReading) -> None:
    if reading.done:
        _draw_reports(inside.bit_flip_reports(spec, count, reading))
    st.caption(EXPLANATION)


def _draw_reports(reports: tuple[StorageReport, ...]) -> None:
    left, right = st.columns([1, 1], gap="medium")
    with left:
        show.chart(charts.by_count(reports, show.ink()), "flip counts", "Accuracy by the number of flipped bits")
    with right:
        show.chart(
            charts.by_position(reports, show.ink()), "flip positions", "Accuracy by the position of flipped bits"
        )
    st.markdown("**The worst bit found**")
    st.table(
        {
            "Storage": [each.name for each in reports],
            "Weight": [f"{each.worst.flip.layer}, number {each.worst.flip.weight:,}" for each in reports],
            "Bit": [str(each.worst.flip.bit) for each in reports],
            "Value": [f"{each.worst.before:.3g} → {each.worst.after:.3g}" for each in reports],
            "Accuracy": [
                f"{wording.percent(each.unflipped / each.images)} → {wording.percent(each.worst.correct / each.images)}"
                for each in reports
            ],
        },
        border="horizontal",
    )
    st.markdown(f"**The packed file.** {file_in_words(reports[-1].name, reports[-1].file)}")


def file_in_words(name: str, file: FileFlips | str) -> str:
    """Returns what flipped bits of the packed file of a storage do."""
    if isinstance(file, str):
        return f"{wording.capital(file)}."
    refused = "All" if file.refusals == file.bits else f"{file.refusals}"
    sentence = (
        f"{refused} of {file.bits} single flips in the file of the {name} were refused when it was read, because "
        f"the checksum did not match. Of {file.body_bits} flips in its content, the decoder alone, without the "
        f"checksum, noticed {file.detections}"
    )
    if file.detections == file.body_bits:
        return f"{sentence}."
    return (
        f"{sentence}; the others changed {wording.percent(file.mean_change, 3)} of the weights in the mean, at most "
        f"{wording.percent(file.largest_change, 3)}. Codes are entropy coded, so a wrong bit can spoil those after it."
    )
