"""The scan: each layer alone at each setting, as a heat map, and a choice of settings from it."""

from dataclasses import replace

import streamlit as st

from compression.errors import DataError
from compression.experiments.assignment import assigned, cost
from compression.experiments.scan import ScanReading
from compression.spec import CompressionSpec, LayerSpec, PruneSpec, QuantSpec, Scope
from pages.ui import wording
from pages.ui.accuracy import missing_images
from pages.ui.charts import drops, show
from pages.ui.compute import experiments, images, networks
from pages.ui.layers import state
from pages.ui.settings import selection

BY_BITS, BY_SPARSITY = "bits", "sparsity"
BITS = (8, 6, 5, 4, 3, 2)
SPARSITIES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
MOST_ROWS = 24  # beyond, the heat map scrolls
HEIGHT = 420
SCANNING = "scanning"
POLL_SECONDS = 1.0
ASSIGN = """\
Of all choices within the budget, the one with the least sum of losses in the scan: a knapsack, solved by dynamic
programming. The budget counts the codes of the weights, without scales."""


def draw(model: str) -> None:
    """All of it, or what to do about missing images."""
    dataset = images.test_images()
    if isinstance(dataset, DataError):
        missing_images.explain(dataset)
        return
    by = st.segmented_control(
        "Each layer alone, at several settings of",
        [BY_BITS, BY_SPARSITY],
        default=BY_BITS,
        required=True,
        key="scan by",
        label_visibility="collapsed",
    )
    specs = columns(selection.spec(model), by)
    _watched(specs)
    _choose(model, specs)


def columns(base: CompressionSpec, by: str) -> tuple[CompressionSpec, ...]:
    """The settings of a scan, as if said of the whole network."""
    if by == BY_SPARSITY:
        prunes = (PruneSpec(sparsity=sparsity, scope=Scope.LAYER) for sparsity in SPARSITIES)
        return tuple(CompressionSpec(base.model, prune, fold_bn=base.fold_bn) for prune in prunes)
    quant = base.weights or QuantSpec(BITS[0])
    widths = dict.fromkeys(quant.scheme.nearest_bits(bits) for bits in BITS)
    plain = replace(base, prune=None, layers=(), merge=None, reestimate_bn=False)  # of one layer, nothing else
    return tuple(replace(plain, weights=replace(quant, bits=bits)) for bits in widths)


def _going(specs: tuple[CompressionSpec, ...]) -> bool:
    return st.session_state.get(SCANNING) == specs


def _watched(specs: tuple[CompressionSpec, ...]) -> None:
    """The heat map, drawn again while the scan goes on."""

    going = _going(specs)

    @st.fragment(run_every=POLL_SECONDS if going else None)
    def watch() -> None:
        if _going(specs) != going:
            st.rerun()
        reading = experiments.scan(specs, go=going)
        _progress(reading, going)
        with st.container(height=HEIGHT if len(reading.scan.layers) > MOST_ROWS else "content", border=False):
            show.chart(drops.sensitivity(reading, show.ink()), "sensitivity", "Drop of accuracy by layer")
        if going and (reading.exact or reading.error):
            st.session_state[SCANNING] = None
            st.rerun()

    watch()


def _progress(reading: ScanReading, going: bool) -> None:
    """How far the scan is, and a button that starts or stops it."""
    specs = reading.scan.specs
    with st.container(horizontal=True, vertical_alignment="center", height=44, border=False):
        if reading.error:
            st.warning(f"The scan stopped: {reading.error}.", icon=":material/error:")
        elif reading.exact:
            st.caption(
                f"Drop of accuracy in points against float, on the first {reading.scan.images:,} test images. "
                "An image is 0.1 points; small drops may be chance."
            )
        else:
            left = "" if reading.seconds_left is None else f", {wording.seconds_left(reading.seconds_left)}"
            done = (
                "Each layer alone, the others float"
                if not reading.share
                else f"{wording.percent(reading.share, 0)} scanned{left}"
            )
            st.progress(min(reading.share, 1.0), done)
        if going and not reading.exact:
            stop = {SCANNING: None}
            st.button("Stop", key="scan stop", icon=":material/stop:", on_click=lambda: st.session_state.update(stop))
        elif not reading.exact:
            start = {SCANNING: specs}
            words = "Scan" if not reading.share else "Go on"
            icon = ":material/play_arrow:"
            st.button(words, key="scan start", icon=icon, on_click=lambda: st.session_state.update(start))


def _choose(model: str, specs: tuple[CompressionSpec, ...]) -> None:
    """A budget, and a button that shares it out."""
    costs = sorted(float(cost(spec)) for spec in specs)
    if len(costs) < 2:
        st.caption("With one setting alone there is nothing to choose from.")
        return
    reading = experiments.scan(specs, go=False) if not _going(specs) else None
    ready = reading is not None and reading.exact
    by_bits = specs[0].weights is not None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        budget = st.slider(
            "Bits a weight, on average" if by_bits else "Weights that stay",
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
            layers = assigned(reading, _weights(model), budget)
            state.reset(model, merged(state.layer_specs(), layers))
            st.rerun()
    st.caption(
        "Assigning takes it that the losses of single layers add up. They need not: the accuracy above is counted with "
        "all of them together."
    )


def _weights(model: str) -> dict[str, int]:
    return {card.name: card.weights for card in networks.layer_cards(model, False)}


def merged(before: tuple[LayerSpec, ...], new: tuple[LayerSpec, ...]) -> list[LayerSpec]:
    """`new`, and of `before` what `new` leaves open."""
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
