"""The scan: the accuracy drop of each layer alone at several settings, as a heat map, and settings assigned from it."""

from dataclasses import replace
from functools import partial

import streamlit as st

from compression.engine.jobs import JobKind, Place
from compression.errors import DataError
from compression.experiments.assignment import assign, cost_per_weight
from compression.experiments.scan import ScanReading
from compression.spec import CompressionSpec, LayerSpec, PruneSpec, QuantSpec, Scope
from compression.spec.recipe import to_link
from pages.ui import wording
from pages.ui.accuracy import missing_images
from pages.ui.charts import drops, show
from pages.ui.compute import experiments, images, networks
from pages.ui.frame.start_stop import start_or_stop, watch
from pages.ui.frame.warnings import show_notice, without_folders
from pages.ui.layers import table
from pages.ui.settings import selection
from pages.ui.state import session

BY_BITS, BY_SPARSITY = "bits", "sparsity"
BITS = (8, 6, 5, 4, 3, 2)
SPARSITIES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
MOST_ROWS = 24  # with more layers the heat map scrolls
HEIGHT = 420
SCANNING = "scanning"
ASSIGN = """\
Assigns a setting to each layer so that the sum of the losses in the scan is smallest within the budget (a knapsack
problem, solved by dynamic programming). The budget counts the codes of the weights, without scales."""


def draw(model: str) -> None:
    """Draws the scan, or what to do if there are no test images."""
    dataset = images.test_images()
    if isinstance(dataset, DataError):
        missing_images.explain(dataset)
        return
    by = st.segmented_control(
        "Setting to scan, in each layer alone",
        [BY_BITS, BY_SPARSITY],
        required=True,
        label_visibility="collapsed",
        **session.bound("scan", session.now().scan),
    )
    specs = columns(selection.spec(model), by)
    _watch(specs)
    _assign(model, specs)


def columns(base: CompressionSpec, by: str) -> tuple[CompressionSpec, ...]:
    """Returns the settings of a scan, each as a spec of the whole network."""
    if by == BY_SPARSITY:
        prunes = (PruneSpec(sparsity=sparsity, scope=Scope.LAYER) for sparsity in SPARSITIES)
        return tuple(CompressionSpec(base.model, prune, fold_bn=base.fold_bn) for prune in prunes)
    quant = base.weights or QuantSpec(BITS[0])
    distinct_bits = dict.fromkeys(quant.scheme.nearest_bits(bits) for bits in BITS)
    plain = replace(base.without_recovery, prune=None, layers=(), merge=None)  # one layer at a time, and nothing else
    return tuple(replace(plain, weights=replace(quant, bits=bits)) for bits in distinct_bits)


def _watch(specs: tuple[CompressionSpec, ...]) -> None:
    """Draws the heat map, and draws it again while the scan is running."""

    def draw_scan(reading: ScanReading, running: bool, place: Place) -> None:
        _progress(reading, running, place)
        with st.container(height=HEIGHT if len(reading.scan.layers) > MOST_ROWS else "content", border=False):
            show.chart(drops.sensitivity(reading, show.ink()), "sensitivity", "Accuracy drop by layer")

    watch(JobKind.SCAN, SCANNING, specs, partial(experiments.scan, specs), draw_scan)


def _progress(reading: ScanReading, running: bool, place: Place) -> None:
    """Draws how far the scan is, and a button that starts or stops it."""
    specs = reading.scan.specs
    with st.container(horizontal=True, vertical_alignment="center", height=44, border=False):
        if reading.error:
            st.warning(f"The scan stopped: {without_folders(reading.error)}.", icon=":material/error:")
        elif reading.done:
            st.caption(
                f"Accuracy drop in percentage points against the float network, on the first {reading.scan.images:,} "
                "test images. Small drops may be chance: one image is 0.1 percentage points."
            )
        else:
            done = (
                "Compresses each layer alone and keeps the others in float"
                if not (reading.share or running)
                else f"{wording.percent(reading.share, 0)} scanned{wording.outlook(reading.seconds_left, place)}"
            )
            st.progress(min(reading.share, 1.0), done)
        if not reading.done:
            start_or_stop("scan", SCANNING, specs, running, "Resume" if reading.share else "Scan")
    show_notice(reading.notice)


def _assign(model: str, specs: tuple[CompressionSpec, ...]) -> None:
    """Draws the budget, and the button that assigns a setting to each layer within it."""
    costs = sorted(float(cost_per_weight(spec)) for spec in specs)
    if len(costs) < 2:
        st.caption("This scheme has only one setting, so that there is nothing to assign.")
        return
    scanning = st.session_state.get(SCANNING) == specs
    reading = None if scanning else experiments.scan(specs, go=False)
    ready = reading is not None and reading.done
    by_bits = specs[0].weights is not None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        budget = st.slider(
            "Average bits per weight" if by_bits else "Weights kept",
            costs[0],
            costs[-1],
            min(4.0, costs[-1]) if by_bits else 0.5,
            0.1 if by_bits else 0.01,
            format="%.1f" if by_bits else "percent",
            key=f"budget {'bits' if by_bits else 'share'}",
            disabled=not ready,
        )
        if (
            st.button("Assign", key="assign", icon=":material/auto_awesome:", disabled=not ready, help=ASSIGN)
            and reading
        ):
            layers = assign(reading, _weights(model), budget)
            session.change(layers=to_link(merged(table.layer_specs(), layers)))
            st.rerun()
    st.caption(
        "The assignment assumes that the losses of single layers add up. They need not: the accuracy above is measured "
        "with all layers together."
    )


def _weights(model: str) -> dict[str, int]:
    """Returns the number of weights of each layer."""
    return {card.name: card.weights for card in networks.layer_cards(model, False)}


def merged(before: tuple[LayerSpec, ...], new: tuple[LayerSpec, ...]) -> list[LayerSpec]:
    """Returns `new`, with the settings of `before` where `new` has none."""
    old = {layer.name: layer for layer in before}
    return [
        replace(
            layer,
            bits=layer.bits if layer.bits is not None else old[layer.name].bits,
            sparsity=layer.sparsity if layer.sparsity is not None else old[layer.name].sparsity,
        )
        if layer.name in old
        else layer
        for layer in new
    ]
