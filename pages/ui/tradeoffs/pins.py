"""Pinned specs: kept in the session and in the link as a few words, `resnet20:3fa9c1d2`."""

import streamlit as st

from compression.evaluation.evaluation import Evaluation
from compression.results.pareto import Point
from compression.results.result import Result
from pages.ui.compute import experiments, networks

PINS = "pins"  # in the link, and in the session
MOST = 8


def settle(arriving: bool) -> None:
    """Makes sure that the session and the link say the same; on arrival the link has the word."""
    text = st.session_state.get(PINS, "")
    _keep((st.query_params.get(PINS, text) if arriving else text).split(","))


def names() -> list[str]:
    return [each for each in st.session_state.get(PINS, "").split(",") if each]


def pin(name: str) -> None:
    _keep([*names(), name])


def unpin(name: str | None = None) -> None:
    """That one, or all."""
    _keep([each for each in names() if name not in (each, None)])


def _keep(pinned: list[str]) -> None:
    text = ",".join(list(dict.fromkeys(each for each in pinned if each))[:MOST])
    if text:
        st.session_state[PINS] = text
        if st.query_params.get(PINS) != text:
            st.query_params[PINS] = text
    else:
        st.session_state.pop(PINS, None)  # or links to other pages would speak of it
        st.query_params.pop(PINS, None)


def points() -> dict[str, Point | None]:
    """By name; None for what is not measured here."""
    here = set(networks.names())
    found: dict[str, Point | None] = {}
    for each in names():
        model = each.rpartition(":")[0]
        known = experiments.known_results(model).points if model in here else ()
        found[each] = next((point for point in known if point.name == each), None)
    return found


def results() -> list[Result]:
    """Of those that are measured here."""
    return [experiments.known_results(point.spec.model).results[point.spec] for point in points().values() if point]


def before() -> dict[str, Evaluation]:
    """The float networks of the pinned ones, by name."""
    known = {
        point.spec.model: experiments.known_results(point.spec.model).before for point in points().values() if point
    }
    return {model: evaluation for model, evaluation in known.items() if evaluation}
