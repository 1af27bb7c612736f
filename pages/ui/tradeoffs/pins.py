"""Pinned specs: stored in the session and in the link by short names, such as `resnet20:3fa9c1d2`."""

import streamlit as st

from compression.evaluation.evaluation import Evaluation
from compression.results.pareto import Point
from compression.results.result import Result
from pages.ui.compute import experiments, networks

PINS = "pins"  # in the link, and in the session
MOST = 8


def settle(arriving: bool) -> None:
    """Makes the session and the link agree. On arrival at the page the link decides."""
    text = st.session_state.get(PINS, "")
    _store((st.query_params.get(PINS, text) if arriving else text).split(","))


def names() -> list[str]:
    return [each for each in st.session_state.get(PINS, "").split(",") if each]


def pin(name: str) -> None:
    _store([*names(), name])


def unpin(name: str | None = None) -> None:
    """Unpins the spec `name`, or all of them."""
    _store([each for each in names() if name not in (each, None)])


def _store(pinned: list[str]) -> None:
    text = ",".join(list(dict.fromkeys(each for each in pinned if each))[:MOST])
    if text:
        st.session_state[PINS] = text
        if st.query_params.get(PINS) != text:
            st.query_params[PINS] = text
    else:
        st.session_state.pop(PINS, None)  # otherwise links to other pages would carry it
        st.query_params.pop(PINS, None)


def points() -> dict[str, Point | None]:
    """Returns the pinned points by name; None for a spec that is not measured here."""
    here = set(networks.names())
    pinned: dict[str, Point | None] = {}
    for each in names():
        model = each.rpartition(":")[0]
        known = experiments.known_results(model).points if model in here else ()
        pinned[each] = next((point for point in known if point.name == each), None)
    return pinned


def results() -> list[Result]:
    """Returns the results of the pinned specs that are measured here."""
    return [experiments.known_results(point.spec.model).results[point.spec] for point in points().values() if point]


def before() -> dict[str, Evaluation]:
    """Returns the evaluations of the float networks of the pinned specs, by name."""
    known = {
        point.spec.model: experiments.known_results(point.spec.model).before for point in points().values() if point
    }
    return {model: evaluation for model, evaluation in known.items() if evaluation}
