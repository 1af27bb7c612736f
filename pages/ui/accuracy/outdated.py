"""Dims an accuracy that is not that of the settings of now.

The browser dims what a new run has not drawn again yet, except in fragments that redraw themselves, and an accuracy
that is being counted stands in one. So each accuracy carries a name that is made from its spec, and a rule of style,
drawn first after each move, dims those with other names.
"""

import hashlib

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from compression.spec import CompressionSpec

START = "accuracy-of-"
OPACITY = 0.33  # that of the browser's own dimming


def container(spec: CompressionSpec) -> DeltaGenerator:
    """Returns a container for the accuracy of `spec`."""
    return st.container(key=name_of(spec))


def dim_others(spec: CompressionSpec) -> None:
    """Dims each accuracy on the page that is not that of `spec`. Takes no room."""
    others = f'[class*="st-key-{START}"]:not(.st-key-{name_of(spec)})'
    st.html(f"<style>{others} {{ opacity: {OPACITY}; }}</style>")


def name_of(spec: CompressionSpec) -> str:
    """Returns the name that the accuracy of `spec` carries."""
    return START + hashlib.sha256(repr(spec).encode()).hexdigest()[:12]
