"""The button that exports, verifies and times a network, and the progress of that."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import streamlit as st

from compression.deploy.deployment import Check, Deployment, compare_answers
from compression.deploy.stopwatch import Timing
from compression.deploy.variants import VariantKind, removes_filters
from compression.engine.jobs import JobKind, Place
from compression.engine.workers import cores
from compression.errors import DataError
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.compute import accuracy, deploy, images, jobs
from pages.ui.settings import selection, widgets
from pages.ui.state import session

GOING = "deploying"
FIRST = Place()
POLL_SECONDS = 1.0
FILES, TIMES = 0.8, 0.2  # shares of the bar
WORDS = """\
The network is exported to ONNX: in float, compressed as set here, in int8, and with zero filters removed if the
settings prune filters. Each file is compared with the simulation on all 10,000 test images. Then the files are timed in
turns in ONNX Runtime, on this machine."""
HALF = """\
Your settings prune no whole filters. This adds a network with half of the filters of each layer, without retraining. It
shows what fewer filters do for the speed; its accuracy is that of a broken network."""


@dataclass(frozen=True, eq=False)
class Known:
    """The files of one spec, their comparison with the simulation, and the timing, as far as they are known.

    `place` is that of this work among the jobs of the session.
    """

    files: tuple[Deployment, ...]
    checks: Mapping[VariantKind, Check]
    timing: Timing
    share: float
    place: Place = FIRST

    @property
    def done(self) -> bool:
        """Whether the work is complete: all files are timed, or there is none to time."""
        return self.timing.done or all(each.error for each in self.files)

    @property
    def error(self) -> str | None:
        """Why a part is missing, in sentences, or None."""
        lost = [f"No {each.variant.kind} file: {each.error}." for each in self.files if each.error]
        if self.timing.error:
            lost.append(f"The files were not timed: {self.timing.error}.")
        return " ".join(lost) or None


def pick_threads() -> None:
    """Shows the choice of one thread or one per core, if there are several cores."""
    shown = session.now().threads
    if cores() > 1:
        words = "Threads of ONNX Runtime. A server that answers many requests at once gives each of them one thread."
        widgets.choose("Threads", widgets.including(["1", str(cores())], shown), "threads", shown, words)


def pick_fewer_filters(model: str) -> None:
    """Shows the switch that adds a network with half of the filters, if the settings prune no filters themselves."""
    if not removes_filters(selection.spec(model)):
        view = session.bound("fewer_filters", session.now().fewer_filters)
        st.toggle("Compare with half of the filters", help=HALF, **view)


def asks_for_fewer_filters() -> bool:
    """Returns whether the switch of `pick_fewer_filters` is on."""
    return session.now().fewer_filters


def draw(model: str) -> None:
    """Shows the button and the progress; the whole page is drawn again when the work is complete."""
    spec = selection.spec(model)
    going = _going(spec)

    @st.fragment(run_every=POLL_SECONDS if going else None)
    def watch() -> None:
        if _going(spec) != going:
            st.rerun()
        found = known(spec)
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            _button(spec, found, going)
            if going and not found.done:
                st.progress(found.share, _progress(found))
            elif found.error:
                st.caption(f":material/info: {found.error}")
        if going and found.done:
            st.session_state[GOING] = None
            st.rerun()

    watch()


def _going(spec: CompressionSpec) -> bool:
    return st.session_state.get(GOING) == _work(spec)


def _work(spec: CompressionSpec) -> tuple[CompressionSpec, int, bool]:
    """Returns what is exported and timed together."""
    return spec, threads(), asks_for_fewer_filters()


def threads() -> int:
    """Returns how many threads ONNX Runtime uses."""
    return min(int(session.now().threads), cores())


def known(spec: CompressionSpec) -> Known:
    """Returns what is known of `spec` now; asks for more if its deployment is running."""
    going = _going(spec)
    go = jobs.look(JobKind.EXPORT, going).runs and going
    files = deploy.exports(spec, go, asks_for_fewer_filters())
    checks: dict[VariantKind, Check] = {}
    shares = []
    counts = not isinstance(images.test_images(), DataError)
    for each in files:
        simulated = accuracy.look(each.variant.spec, go, f" {each.variant.kind}") if counts and not each.error else None
        shares.append(1.0 if each.error else each.share)
        if simulated:
            shares.append(1.0 if simulated.error else simulated.images / simulated.total)
            if simulated.whole and each.answers is not None:
                checks[each.variant.kind] = compare_answers(each.answers, simulated.whole)
    share = sum(shares) / len(shares)
    times_now = go and share == 1 and any(each.file for each in files)
    timing = deploy.timing(spec, threads(), times_now, asks_for_fewer_filters())
    result = Known(files, checks, timing, FILES * share + TIMES * timing.share)
    return replace(result, place=jobs.look(JobKind.EXPORT, going and not result.done, result.share))


def _button(spec: CompressionSpec, found: Known, going: bool) -> None:
    if going:
        stop = {GOING: None}
        st.button("Stop", key="deploy stop", icon=":material/stop:", on_click=lambda: _go(stop, spec))
        return
    start = {GOING: _work(spec)}
    words = "Time again" if found.done else "Export and time"
    st.button(words, key="deploy", icon=":material/timer:", help=WORDS, on_click=lambda: _go(start, spec))


def _go(state: Mapping[str, object], spec: CompressionSpec) -> None:
    """Starts or stops the deployment. Earlier timings and errors are forgotten, so they are tried again."""
    deploy.forget(spec, threads(), asks_for_fewer_filters())
    st.session_state.update(state)


def _progress(found: Known) -> str:
    return _step(found) + wording.outlook(None, found.place)


def _step(found: Known) -> str:
    built = sum(each.file is not None or each.error is not None for each in found.files)
    if built < len(found.files):
        return f"Exporting: {built} of {len(found.files)} files"
    if found.share < FILES:
        return "Comparing each file on all test images"
    return f"Timing, {wording.percent(found.timing.share, 0)}" if found.timing.share else "Waiting for other timings"
