"""Warnings about a compressed network, on every page that shows its accuracy."""

import streamlit as st

from compression.evaluation.evaluation import Evaluation
from compression.inspect.warnings import constant_answer
from compression.spec import CompressionSpec
from pages.ui.compute import compressed

ICON = ":material/warning:"


def show_warnings(spec: CompressionSpec) -> None:
    """Shows what a reader must know before the numbers: zero layers, and a clipping range without effect."""
    for sentence in compressed.answer(spec).warnings:
        st.warning(sentence, icon=ICON)


def show_constant_answer(evaluation: Evaluation | None) -> None:
    """Shows that all images counted so far get the same answer, if so."""
    if sentence := constant_answer(evaluation):
        st.warning(sentence, icon=ICON)
