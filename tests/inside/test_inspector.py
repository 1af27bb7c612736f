"""Looks in the background: results arrive in order, looks rest and resume, a failure is a sentence."""

from pathlib import Path

import pytest
import torch

from compression.data.images import ImageSet
from compression.engine.cluster import Engine
from compression.errors import EngineError
from compression.inside.calls import calibrate_results, logit_calls
from compression.inside.inspector import Call, Inspector
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec, QuantSpec
from tests.support.work import need, square


@pytest.fixture(autouse=True)
def idle(here: Engine) -> None:
    """Nothing is asked of the engine that all tests share: pages ask for files and leave."""
    here.drop(here.pending)


def squares(name: str, count: int) -> list[Call]:
    return [Call(f"{name} {number}", square, (number,)) for number in range(count)]


def test_results_come_back_in_the_order_of_the_calls(here: Engine) -> None:
    *_, last = Inspector(here).follow(squares("in order", 9))
    assert last.results == tuple(number**2 for number in range(9))
    assert (last.done, last.share) == (True, 1.0)


def test_a_look_that_does_not_go_asks_for_nothing(here: Engine) -> None:
    inspector = Inspector(here)
    reading = inspector.look(squares("at rest", 3), go=False)
    assert reading.results == (None, None, None)
    assert not here.pending
    inspector.look(squares("at rest", 3))
    assert here.pending
    inspector.look(squares("at rest", 3), go=False)
    assert not here.pending


def test_looks_follow_each_other_and_one_that_occurs_twice_is_asked_once(here: Engine) -> None:
    """The float network beside itself: the second look is at rest while the first one runs, and dropped its calls."""
    same, other = squares("twice", 3), squares("once", 2)
    *_, last = Inspector(here).follow(same, other, same)
    assert last.results == (0, 1, 4, 0, 1, 0, 1, 4)
    assert last.done
    inspector = Inspector(here)
    inspector.look_in_turn([squares("first", 2), squares("second", 2)])
    assert len(here.pending) == 2  # those of the first look


def test_a_call_that_fails_is_a_sentence_and_leaves_nothing_behind(here: Engine, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no images here"):
        list(Inspector(here).follow([Call("fails", need, (str(tmp_path / "nothing"),))]))
    assert not here.pending


def test_the_logits_of_workers_are_those_of_this_process(
    here: Engine, simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    images = test_images[:600]
    *_, last = Inspector(here).follow(logit_calls(here, simple_cnn, CompressionSpec("simple_cnn"), images))
    logits = torch.cat([torch.from_numpy(part) for part in last.results])
    assert torch.allclose(logits, simple_cnn.module(simple_cnn.normalization(images.pixels)), atol=1e-4)
    assert calibrate_results(last.results, images.labels).plain.images == 300
    fewer = logit_calls(here, simple_cnn, CompressionSpec("simple_cnn"), images[:550])
    assert fewer[1].name != logit_calls(here, simple_cnn, CompressionSpec("simple_cnn"), images)[1].name
    small = logit_calls(here, simple_cnn, CompressionSpec("simple_cnn", weights=QuantSpec(2)), images)
    assert {call.name for call in small}.isdisjoint(
        call.name for call in logit_calls(here, simple_cnn, CompressionSpec("simple_cnn"), images)
    )
