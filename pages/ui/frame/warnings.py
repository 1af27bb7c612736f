"""Warnings about a compressed network, and notices about the server, on every page that has them."""

import re

import streamlit as st

from compression.evaluation.evaluation import Evaluation
from compression.inspect.warnings import constant_answer
from compression.spec import CompressionSpec
from pages.ui.compute import compressed

ICON = ":material/warning:"
FOLDERS = re.compile(r"(?<![\w:/.\\])(?:[A-Za-z]:)?[/\\](?:[^/\\:;,()\n]*[^/\\:;,()\s][/\\])+")


def show_warnings(spec: CompressionSpec) -> None:
    """Shows what a reader must know before the numbers: zero layers, and a clipping range without effect."""
    for sentence in compressed.answer(spec).warnings:
        st.warning(sentence, icon=ICON)


def show_constant_answer(evaluation: Evaluation | None) -> None:
    """Shows that all images counted so far get the same answer, if so."""
    if sentence := constant_answer(evaluation):
        st.warning(sentence, icon=ICON)


def show_notice(notice: str | None) -> None:
    """Shows a sentence about the server, if there is one."""
    if notice:
        st.caption(f":material/info: {without_folders(notice)}")


def without_folders(text: str) -> str:
    """Returns a sentence about the server; where it hides details of errors, without the folders that files are in."""
    return FOLDERS.sub("", text) if st.get_option("client.showErrorDetails") == "none" else text
