"""The ladder: works out one rung after another, and lets the reader use one on all pages."""

from functools import partial

import streamlit as st

from compression.engine.jobs import JobKind, Place
from compression.errors import DataError
from compression.experiments.ladder import Rung, rungs
from compression.networks.untrained import is_untrained
from pages.ui import wording
from pages.ui.accuracy import missing_images
from pages.ui.charts import accuracy as accuracy_charts
from pages.ui.charts import show
from pages.ui.compute import images, networks
from pages.ui.frame.start_stop import start_or_stop, watch
from pages.ui.frame.warnings import without_folders
from pages.ui.recover.climb import Climb, LadderReading, climb
from pages.ui.settings import selection
from pages.ui.state import session, specs

CLIMBING = "climbing"
COLUMNS = [1.4, 3, 1.2, 1.2, 0.9, 1]
HEADS = ("Step", "What it does", "Accuracy", "Points won", "Seconds", "")
NOTHING = "These settings compress nothing, so there is nothing to give back. Lower the bits or prune weights."
ALREADY = """\
This network was trained here, or read from a packed file, so no step without training gives more back.
You can train on from it."""
UNTRAINED = """\
This network has random weights: it is a student. Train it from the labels alone, or, with *Distillation* under *More*,
also from the outputs of a teacher. How much does the teacher help?"""
FOLDED_LAST = "Where batch norm is folded after quantization, nothing can be given back. Fold it first, or not at all."
WORDS = """\
Every step keeps those above it. None looks at a label, and none trains: each uses 1,000 training images, and the
accuracy is counted on all 10,000 test images, which no step sees. Seconds are those of this server, for the whole
network with all steps up to that one. With few bits, compensated rounding makes the file larger: fewer weights become
zero."""


def draw(model: str) -> None:
    """Draws the ladder of the settings of now, or what to do if there are no test images."""
    dataset = images.test_images()
    if isinstance(dataset, DataError):
        missing_images.explain(dataset)
        return
    if is_untrained(model):
        st.info(UNTRAINED, icon=":material/school:")
        return
    ladder = rungs(selection.spec(model), networks.has_batch_norm(model))
    if len(ladder) == 1:
        spec = ladder[0].spec
        nothing = ALREADY if networks.is_compressed(model) else NOTHING
        st.info(FOLDED_LAST if spec.quantizes_weights or spec.prunes else nothing, icon=":material/info:")
        return
    _watch(ladder)


def _watch(ladder: tuple[Rung, ...]) -> None:
    """Draws the ladder, and draws it again while it is worked out."""

    def draw_ladder(reading: LadderReading, running: bool, place: Place) -> None:
        _progress(reading, running, place)
        _chart(reading.climbs)
        _table(reading.climbs)

    watch(JobKind.LADDER, CLIMBING, ladder[0].spec, partial(climb, ladder), draw_ladder)


def _progress(reading: LadderReading, running: bool, place: Place) -> None:
    """Draws how far the ladder is, and the button that starts or stops it."""
    climbs, done = reading.climbs, reading.exact
    with st.container(horizontal=True, vertical_alignment="center"):
        if reading.error:
            st.warning(f"The ladder stopped: {without_folders(reading.error)}.", icon=":material/error:")
        elif done == len(climbs) and not running:
            st.caption(WORDS)
        elif running:
            current = next((each for each in climbs if not each.done), climbs[-1])
            counted = f": {current.reading.images:,} of {current.reading.total:,} images" if current.reading else ""
            left = current.reading.seconds_left if current.reading else None
            number = climbs.index(current)
            words = f"{current.rung.name}, step {number} of {len(climbs) - 1}{counted}{wording.outlook(left, place)}"
            st.progress(done / len(climbs), words)
        else:
            st.caption("Works out step by step what gives accuracy back without training. This takes some minutes.")
        if running or done < len(climbs):
            label = "Resume" if done > 1 else "Work out"
            start_or_stop("ladder", CLIMBING, climbs[0].rung.spec, running, label, type="primary")


def _chart(climbs: tuple[Climb, ...]) -> None:
    known = [each.reading.estimate.accuracy for each in climbs if each.reading and each.reading.estimate]
    before = climbs[0].reading.before if climbs[0].reading else None
    if before is None:
        return
    figure = accuracy_charts.ladder([each.rung.name for each in climbs], before.accuracy, known, show.ink())
    show.chart(
        figure, "ladder", "Accuracy of the float network, the loss by compression, and what each step gives back"
    )


def _table(climbs: tuple[Climb, ...]) -> None:
    """Draws a row for each rung, with a button that uses its settings on all pages."""
    for place, head in zip(st.columns(COLUMNS), HEADS, strict=True):
        place.caption(head)
    now = selection.spec(climbs[0].rung.spec.model)
    before: float | None = None
    for number, each in enumerate(climbs):
        name, deed, number_place, won, seconds, use = st.columns(COLUMNS, vertical_alignment="center")
        name.markdown(f"**{each.rung.name}**")
        deed.markdown(each.rung.deed)
        estimate = each.reading.estimate if each.reading else None
        if estimate:
            number_place.markdown(
                wording.percent(estimate.accuracy, 2)
                if each.exact
                else wording.plus_minus(estimate.accuracy, estimate.half_width)
            )
            if before is not None:
                won.markdown(wording.points(estimate.accuracy - before))
            before = estimate.accuracy
        seconds.markdown("" if each.seconds is None else f"{each.seconds:.1f}")
        is_used = each.rung.spec == now
        if use.button("In use" if is_used else "Use", key=f"use {number}", disabled=is_used, width="stretch"):
            session.step(specs.with_recovery(session.now(), each.rung.spec))
            st.rerun()
