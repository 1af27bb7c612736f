"""Networks that take long are compressed one after another, and given up when nobody waits for them."""

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from compression.core.evidence import Evidence
from compression.engine import recoverer
from compression.engine.recoverer import Recoverer, RecoveryReading
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.spec import CompressionSpec, QuantSpec

LAYERS = 3
PATIENCE = 20  # seconds


class Steps:
    """Stands in for `compress`: goes on by one layer whenever `go` is released, and notes what it begins and ends."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.begun: list[int] = []
        self.ended: list[int] = []

    def __call__(self, module: nn.Module, spec: CompressionSpec, evidence: object, report: Callable) -> SimpleNamespace:
        self.begun.append(spec.weights.bits)
        for layer in range(LAYERS):
            report(layer, LAYERS)
            assert self.go.acquire(timeout=PATIENCE)
        self.ended.append(spec.weights.bits)
        if spec.weights.bits == 2:
            raise ValueError("two bits are too few")
        return SimpleNamespace(module=module, bits=spec.weights.bits)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    steps = Steps()
    monkeypatch.setattr(recoverer, "compress", steps)
    monkeypatch.setattr(recoverer, "evidence_for", lambda *_: Evidence())
    return steps


MODEL = FloatModel("m", nn.Linear(2, 2), NORMALIZATIONS["half"])


def spec(bits: int) -> CompressionSpec:
    return CompressionSpec("m", weights=QuantSpec(bits))


def until(look: Callable[[], RecoveryReading], holds: Callable[[RecoveryReading], bool]) -> RecoveryReading:
    deadline = time.monotonic() + PATIENCE
    while not holds(reading := look()):
        assert time.monotonic() < deadline, reading
        time.sleep(0.005)
    return reading


def test_a_network_advances_by_layers_and_stays_when_it_is_there(steps: Steps) -> None:
    work = Recoverer()
    assert not work.look("a", MODEL, spec(4)).is_final
    steps.go.release(2)
    reading = until(lambda: work.look("a", MODEL, spec(4)), lambda reading: reading.layers == 2)
    assert (reading.total, reading.network) == (LAYERS, None)
    assert reading.seconds_left == pytest.approx(reading.seconds / 2)
    steps.go.release(1)
    assert until(lambda: work.look("a", MODEL, spec(4)), lambda reading: reading.is_final).network.bits == 4
    assert work.look("b", MODEL, spec(4)).network.bits == 4
    assert steps.begun == [4]


def test_a_network_that_nobody_waits_for_any_more_is_given_up(steps: Steps) -> None:
    work = Recoverer()
    work.look("a", MODEL, spec(4))
    work.look("b", MODEL, spec(5))
    until(lambda: work.look("a", MODEL, spec(4)), lambda reading: reading.total > 0)
    work.look("a", MODEL, spec(6))
    work.look("a", MODEL, spec(7))  # 6 bits are not begun, 4 bits are not ended
    steps.go.release(1 + 2 * LAYERS)
    until(lambda: work.look("a", MODEL, spec(7)), lambda reading: reading.is_final)
    until(lambda: work.look("b", MODEL, spec(5)), lambda reading: reading.is_final)
    assert (steps.begun, steps.ended) == ([4, 5, 7], [5, 7])


def test_who_does_not_look_any_more_does_not_wait(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Recoverer()
    work.look("a", MODEL, spec(4))
    until(lambda: work.look("a", MODEL, spec(4)), lambda reading: reading.total > 0)
    monkeypatch.setattr(recoverer, "FORGET_SECONDS", -1.0)
    steps.go.release(1)
    deadline = time.monotonic() + PATIENCE
    while work._thread is not None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert steps.ended == []


def test_an_error_is_told_and_the_next_network_is_made(steps: Steps) -> None:
    work = Recoverer()
    steps.go.release(2 * LAYERS)
    reading = until(lambda: work.look("a", MODEL, spec(2)), lambda reading: reading.is_final)
    assert (reading.network, reading.error) == (None, "two bits are too few")
    assert until(lambda: work.look("a", MODEL, spec(3)), lambda reading: reading.is_final).network.bits == 3


def test_only_the_networks_used_last_stay(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recoverer, "MOST_FINAL", 2)
    work = Recoverer()
    steps.go.release(4 * LAYERS)
    for bits in (4, 5, 4, 6):
        until(lambda bits=bits: work.look("a", MODEL, spec(bits)), lambda reading: reading.is_final)
    work.look("a", MODEL, spec(4))
    assert [key[1].weights.bits for key in work._final] == [6, 4]
    monkeypatch.setattr(recoverer, "KEEP_SECONDS", -1.0)
    assert not work.look("a", MODEL, spec(4)).is_final


def test_a_real_network_with_its_images_is_what_compress_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recoverer, "evidence_for", lambda *_: Evidence())
    work = Recoverer()
    network = until(lambda: work.look("a", MODEL, spec(4)), lambda reading: reading.is_final).network
    assert network is not None
    expected = recoverer.compress(MODEL.module, spec(4)).layers[0].weight
    assert torch.equal(network.layers[0].weight, expected)
