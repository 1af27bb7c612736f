"""What a network is in words, also if it was trained, and trained again."""

from dataclasses import replace
from pathlib import Path

import pytest

from compression.library.descent import Descent, descents, describe
from compression.library.recovered import Recovered
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from tests.library.test_recovered import LINEAGE

TWO_BITS = CompressionSpec("net", weights=QuantSpec(2))
SPARSE = CompressionSpec("first", PruneSpec(sparsity=0.5))


def trained(name: str, spec: CompressionSpec, parent: str, epochs: float = 1.0) -> Recovered:
    return Recovered(name, replace(LINEAGE, parent=parent, spec=spec, epochs=epochs), Path(name), 1, False)


FIRST = trained("first", TWO_BITS, "net", 12)
SECOND = trained("second", SPARSE, "first")


def test_the_steps_from_the_float_network_are_told_in_order() -> None:
    assert descents([SECOND, FIRST]) == {
        "first": Descent("net", "2 bits, trained 12 epochs", TWO_BITS),
        "second": Descent("net", "2 bits, trained 12 epochs, then 50 % sparse, trained 1 epoch", SPARSE),
    }


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (TWO_BITS, ("net", "2 bits")),
        (CompressionSpec("first"), ("net", "2 bits, trained 12 epochs")),
        (CompressionSpec("first", weights=QuantSpec(8)), ("net", "2 bits, trained 12 epochs, then 8 bits")),
        (CompressionSpec("student"), ("resnet8", "float, trained 16 epochs from random weights")),
    ],
)
def test_a_spec_is_told_with_what_its_network_is(spec: CompressionSpec, words: tuple[str, str]) -> None:
    student = trained("student", CompressionSpec("untrained:resnet8"), "untrained:resnet8", 16)
    assert describe(spec, descents([FIRST, student])) == words


def test_a_network_whose_parent_was_deleted_begins_there_and_a_circle_ends() -> None:
    assert descents([SECOND])["second"].network == "first"
    circle = descents([trained("a", TWO_BITS, "b"), trained("b", TWO_BITS, "a")])
    assert set(circle) == {"a", "b"}
