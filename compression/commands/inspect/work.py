"""Looks that take seconds: both networks on the workers, with a progress bar."""

from collections.abc import Callable, Sequence
from typing import Any

from compression.commands.shared.progress import end, follow_share
from compression.core.record import CompressedModel
from compression.engine.cluster import Engine, engine
from compression.inside.inspector import Call, Inspector
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec

NETWORKS = ("float", "compressed")


def networks(model: FloatModel, compressed: CompressedModel) -> list[tuple[CompressionSpec, Any]]:
    """Returns the specs of both networks, and the module of a network that takes seconds to make, else None."""
    return [
        (CompressionSpec(model.name), None),
        (compressed.spec, compressed.module if compressed.spec.takes_seconds else None),
    ]


def look(name: str, parts_for: Callable[[Engine], Sequence[Sequence[Call]]]) -> list[tuple[Any, ...]]:
    """Makes the calls that `parts_for` returns, under a bar with this name, and returns the results of each part.

    Ctrl-C raises KeyboardInterrupt after the notice about workers.
    """
    inspector = Inspector(engine())
    parts = parts_for(inspector.engine)
    reading = follow_share(inspector.follow(*parts), name)
    end(reading.notice, reading.done)
    results = iter(reading.results)
    return [tuple(next(results) for _ in calls) for calls in parts]
