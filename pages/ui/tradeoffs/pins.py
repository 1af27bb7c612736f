"""Pinned specs: settings, by short names such as `resnet20:3fa9c1d2`."""

from compression.evaluation.evaluation import Evaluation
from compression.results.pareto import Point
from compression.results.result import Result
from pages.ui.compute import experiments, networks
from pages.ui.frame import frame
from pages.ui.state import session

MOST = 8


def names() -> tuple[str, ...]:
    """Returns the names of the pinned specs; of a link with more than can be pinned, the first."""
    return session.now().pins[:MOST]


def pin(name: str) -> None:
    _store((*names(), name))


def unpin(name: str | None = None) -> None:
    """Unpins the spec `name`, or all of them."""
    _store(tuple(each for each in names() if name not in (each, None)))


def _store(pinned: tuple[str, ...]) -> None:
    session.change(pins=pinned)
    frame.rerun_answer()


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
    """Returns the evaluations of the float networks that the pinned specs come from, by the networks of the specs."""
    descents, here = networks.descents(), set(networks.names())
    known = {}
    for name in {point.spec.model for point in points().values() if point}:
        float_network = descents[name].network if name in descents else name
        known[name] = experiments.known_results(float_network).before if float_network in here else None
    return {name: evaluation for name, evaluation in known.items() if evaluation}
