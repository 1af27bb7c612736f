"""Imported first: from Python 3.14 on the standard library's own `compression` is found in place of ours."""

import sys

import streamlit as st

if sys.version_info >= (3, 14):
    st.error(f"Squeezelab needs Python 3.11 to 3.13, and this is {sys.version.split()[0]}.")
    st.stop()
