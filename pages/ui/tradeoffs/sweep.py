"""The tab Sweep: which specs to measure, how long that takes, start and stop, and the results as a file."""

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from compression.engine.jobs import JobKind
from compression.errors import DataError
from compression.spec import AUTOMATIC_SCHEMES, CompressionSpec, Granularity, Scheme
from compression.spec.grid import grid, prune_specs
from pages.ui import wording
from pages.ui.accuracy import missing_images
from pages.ui.compute import experiments, images, jobs, networks
from pages.ui.frame import frame
from pages.ui.frame.warnings import show_notice
from pages.ui.state import session
from pages.ui.state.link import SWEEP_BITS, SWEEP_SPARSITIES
from pages.ui.state.value import FLOAT, Settings
from pages.ui.tradeoffs import front

SWEEPING = "sweeping"  # in the session: the specs that are being measured
POLL_SECONDS = 1.0
MOST = 1_000


def running() -> tuple[CompressionSpec, ...]:
    """Returns the specs that are being measured."""
    return st.session_state.get(SWEEPING) or ()


def live(draw: Callable[[], None], key: str) -> None:
    """Calls `draw` in the fragment `key`, and again and again while a sweep runs, so that its results appear."""
    busy = bool(running())

    @st.fragment(key=key, run_every=2 * POLL_SECONDS if busy else None)
    def again() -> None:
        draw()

    again()


def progress() -> None:
    """Shows the progress of the sweep above all tabs; shows nothing if none is running."""
    specs = running()
    if not specs:
        return

    @st.fragment(run_every=POLL_SECONDS)
    def watch() -> None:
        if running() != specs:
            st.rerun()
        reading, place = jobs.take_turn(JobKind.SWEEP, True, partial(experiments.sweep, specs))
        with st.container(horizontal=True, vertical_alignment="center"):
            outlook = wording.outlook(reading.seconds_left, place)
            progress = f"{len(reading.results):,} of {len(specs):,} specs measured{outlook}"
            st.progress(min(reading.share, 1.0), progress)
            st.button("Stop", key="sweep stop", icon=":material/stop:", on_click=_stop, args=(specs,))
        show_notice(reading.notice)
        if reading.done:
            st.session_state.update({SWEEPING: None, "sweep failed": list(reading.failures.items())})
            st.rerun()

    watch()


def _stop(specs: tuple[CompressionSpec, ...]) -> None:
    experiments.sweep(specs, go=False)
    jobs.look(JobKind.SWEEP, going=False)
    st.session_state[SWEEPING] = None


def draw(model: str, names: Sequence[str]) -> None:
    """Shows what to measure, and the downloads of all results of the networks `names`."""
    dataset = images.test_images()
    if isinstance(dataset, DataError):
        missing_images.explain(dataset)
    else:
        _choose(model)
    _downloads(names)
    front.picture(names)


def _choose(model: str) -> None:
    """Shows the widgets that choose specs, and the button that measures them."""
    now, after = session.now(), frame.rerun_answer
    chosen = (model,) if now.sweep_networks is None else now.sweep_networks
    models = [name for name in chosen if name in networks.names()]
    first, second, third = st.columns(3)
    with first:
        st.multiselect("Networks", networks.names(), **session.bound("sweep_networks", models, after))
        st.multiselect("Bits per weight", SWEEP_BITS, **session.bound("sweep_bits", list(now.sweep_bits), after))
    with second:
        schemes = session.bound("sweep_schemes", list(now.sweep_schemes), after)
        st.multiselect("Schemes", list[Scheme](AUTOMATIC_SCHEMES), **schemes)
        granularities = session.bound("sweep_granularities", list(now.sweep_granularities), after)
        st.multiselect("Quantization granularity", list(Granularity), **granularities)
    with third:
        st.multiselect(
            "Sparsities (pruning scope global)",
            SWEEP_SPARSITIES,
            format_func=wording.short_percent,
            **session.bound("sweep_sparsities", list(now.sweep_sparsities), after),
        )
    specs, impossible = _specs(models, now)
    missing = _missing(specs)
    with st.container(horizontal=True, vertical_alignment="center"):
        go = st.button(
            "Measure",
            key="sweep",
            type="primary",
            icon=":material/play_arrow:",
            disabled=not missing or len(missing) > MOST or bool(running()),
        )
        st.markdown(" ".join((_words(specs, missing), *impossible)))
    if go:
        st.session_state[SWEEPING] = tuple(missing)
        st.rerun()
    for spec, why in st.session_state.get("sweep failed", ())[:3]:
        st.warning(f"Not measured: {spec.model}, {why}.", icon=":material/error:")


def _specs(models: Sequence[str], settings: Settings) -> tuple[tuple[CompressionSpec, ...], list[str]]:
    """Returns every possible combination of the choices for the networks `models`, and what is not possible, in words.

    Nothing is measured as long as a choice is empty.
    """
    widths = [None if width == FLOAT else int(width) for width in settings.sweep_bits]
    prunes = prune_specs(settings.sweep_sparsities)
    if not (models and widths and prunes and settings.sweep_schemes and settings.sweep_granularities):
        return (), []
    specs: list[CompressionSpec] = []
    impossible = []
    for scheme in settings.sweep_schemes:
        possible = [bits for bits in widths if bits is None or bits in scheme.bits or len(scheme.bits) == 1]
        if others := [str(bits) for bits in widths if bits not in possible]:
            allowed = f"{scheme.bits[0]} to {scheme.bits[-1]} bits"
            impossible.append(f"{wording.capital(scheme)} weights take {allowed}, not {' or '.join(others)}.")
        for name in models:
            specs += grid(name, possible, prunes, (scheme,), settings.sweep_granularities)
    return tuple(dict.fromkeys(specs)), impossible


def _missing(specs: Sequence[CompressionSpec]) -> list[CompressionSpec]:
    known = {name: experiments.known_results(name).results for name in {spec.model for spec in specs}}
    return [spec for spec in specs if spec not in known[spec.model]]


def _words(specs: Sequence[CompressionSpec], missing: Sequence[CompressionSpec]) -> str:
    """Returns how many specs there are, how many are new, and how long they take, in a sentence."""
    if len(missing) > MOST:
        return f"{len(missing):,} specs are not measured yet. A sweep measures at most {MOST:,}."
    if not specs:
        return "Choose at least one value of each."
    count = f"{len(specs):,} spec{'s' * (len(specs) != 1)}"
    if not missing:
        return f"{count}, all measured."
    seconds = sum(experiments.seconds_per_spec(spec.model) for spec in missing)
    new = f"{len(missing):,} of them not measured yet" if len(missing) < len(specs) else "none measured yet"
    return f"{count}, {new}: about {wording.duration(seconds)} on this machine. Results are stored."


def _downloads(names: Sequence[str]) -> None:
    known = {name: experiments.known_results(name) for name in names}
    count = sum(len(each.points) for each in known.values())
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"All {count:,} results as a table:", width="content")
        for suffix, label, kind in ((".parquet", "Parquet", "application/octet-stream"), (".csv", "CSV", "text/csv")):
            st.download_button(
                label,
                partial(experiments.results_file, known, suffix),
                f"{'-'.join(names)}{suffix}",
                kind,
                icon=":material/download:",
                disabled=not count,
                on_click="ignore",
                key=f"table {suffix}",
            )
