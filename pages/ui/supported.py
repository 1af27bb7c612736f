"""Every page imports this first: it refuses a Python that is too old, and then claims the name `compression`."""

import sys

import streamlit as st

if sys.version_info < (3, 11):  # noqa: UP036
    st.error(f"Squeezelab needs Python 3.11 or later, and this is {sys.version.split()[0]}.")
    st.stop()

import squeezelab  # noqa: F401
