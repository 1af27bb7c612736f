"""Networks whose compression takes longer than a slider may wait: they are computed beside the page."""

from dataclasses import replace

import streamlit as st

from compression.engine.recoverer import Recoverer, RecoveryReading
from compression.spec import CompressionSpec
from pages.ui.compute import networks
from pages.ui.compute.jobs import session_name


@st.cache_resource(show_spinner=False)
def _recoverer() -> Recoverer:
    return Recoverer()


def look(spec: CompressionSpec) -> RecoveryReading | None:
    """Returns how far the network of `spec` is, and goes on with it; None if it is not one that takes long."""
    return time(spec) if spec.recovers else None


def time(spec: CompressionSpec, side: str = "") -> RecoveryReading:
    """Returns how far the network of `spec` is and how long it takes, and goes on with it.

    A session waits for one network at a time, or for one on each `side` of a page.
    """
    return _recoverer().look(session_name() + side, networks.float_model(spec.model), spec)


def is_there(spec: CompressionSpec) -> bool:
    """Returns whether the network of `spec` needs no more time; if it does, goes on with it."""
    reading = look(spec)
    return reading is None or reading.network is not None


def without(spec: CompressionSpec) -> CompressionSpec:
    """Returns `spec` without the steps that take seconds; re-estimating batch norm does not."""
    return replace(spec.without_recovery, reestimate_bn=spec.reestimate_bn)


def problem(spec: CompressionSpec) -> str | None:
    """Returns why the network of `spec` cannot be made, as far as that is known, or None."""
    reading = look(spec)
    return reading.error if reading else None


def present(spec: CompressionSpec) -> CompressionSpec:
    """Returns the spec of the network that can be shown at once: `spec`, or `without` its steps until it is there.

    If it cannot be made, that may become known while a page is drawn. The page then goes on `without`, and the next
    `problem` says why.
    """
    return spec if is_there(spec) else without(spec)
