"""The tab Sweep: which specs to measure, how long that takes, start and stop, and the results as a file."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from compression.errors import DataError
from compression.spec import AUTOMATIC_SCHEMES, MAX_BITS, CompressionSpec, Granularity, Scheme
from compression.spec.grid import GRID_BITS, GRID_SPARSITIES, grid, prune_specs
from pages.ui import wording
from pages.ui.accuracy import missing_images
from pages.ui.compute import experiments, images, networks
from pages.ui.state.value import FLOAT
from pages.ui.tradeoffs import front

SWEEPING = "sweeping"  # in the session: the specs that are being measured
POLL_SECONDS = 1.0
MOST = 1_000
WIDTHS = [FLOAT, *map(str, range(MAX_BITS, 0, -1))]
SHARES = tuple(each / 20 for each in range(20))


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
        reading = experiments.sweep(specs, go=True)
        with st.container(horizontal=True, vertical_alignment="center"):
            time_left = "" if reading.seconds_left is None else f", {wording.seconds_left(reading.seconds_left)}"
            progress = f"{len(reading.results):,} of {len(specs):,} specs measured{time_left}"
            st.progress(min(reading.share, 1.0), progress)
            st.button("Stop", key="sweep stop", icon=":material/stop:", on_click=_stop, args=(specs,))
        if reading.notice:
            st.caption(f":material/info: {reading.notice}")
        if reading.done:
            st.session_state.update({SWEEPING: None, "sweep failed": list(reading.failures.items())})
            st.rerun()

    watch()


def _stop(specs: tuple[CompressionSpec, ...]) -> None:
    experiments.sweep(specs, go=False)
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
    first, second, third = st.columns(3)
    persistent: dict[str, Any] = {"persist_state": "session"}
    with first:
        models = st.multiselect("Networks", networks.names(), [model], key="sweep networks", **persistent)
        widths = st.multiselect(
            "Bits per weight", WIDTHS, [str(bits or FLOAT) for bits in GRID_BITS], key="sweep bits", **persistent
        )
    with second:
        schemes = st.multiselect(
            "Schemes", list[Scheme](AUTOMATIC_SCHEMES), [Scheme.SYMMETRIC], key="sweep schemes", **persistent
        )
        granularities = st.multiselect(
            "Quantization granularity",
            list(Granularity),
            [Granularity.CHANNEL],
            key="sweep granularities",
            **persistent,
        )
    with third:
        sparsities = st.multiselect(
            "Sparsities (pruning scope global)",
            SHARES,
            list(GRID_SPARSITIES),
            wording.short_percent,
            key="sweep sparsities",
            **persistent,
        )
    specs = _specs(models, widths, schemes, granularities, sparsities)
    missing = _missing(specs)
    with st.container(horizontal=True, vertical_alignment="center"):
        go = st.button(
            "Measure",
            key="sweep",
            type="primary",
            icon=":material/play_arrow:",
            disabled=not missing or len(missing) > MOST or bool(running()),
        )
        st.markdown(_words(specs, missing))
    if go:
        st.session_state[SWEEPING] = tuple(missing)
        st.rerun()
    for spec, why in st.session_state.get("sweep failed", ())[:3]:
        st.warning(f"Not measured: {spec.model}, {why}.", icon=":material/error:")


def _specs(
    models: Sequence[str],
    widths: Sequence[str],
    schemes: Sequence[Scheme],
    granularities: Sequence[Granularity],
    sparsities: Sequence[float],
) -> tuple[CompressionSpec, ...]:
    """Returns every combination of the choices."""
    bits = [None if width == FLOAT else int(width) for width in widths]
    grids = (grid(name, bits, prune_specs(sparsities), schemes, granularities) for name in models)
    return tuple(spec for specs in grids for spec in specs)


def _missing(specs: Sequence[CompressionSpec]) -> list[CompressionSpec]:
    known = {name: experiments.known_results(name).results for name in {spec.model for spec in specs}}
    return [spec for spec in specs if spec not in known[spec.model]]


def _words(specs: Sequence[CompressionSpec], missing: Sequence[CompressionSpec]) -> str:
    """Returns how many specs there are, how many are new, and how long they take, in a sentence."""
    if len(missing) > MOST:
        return f"{len(missing):,} specs are not measured yet. A sweep measures at most {MOST:,}."
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
