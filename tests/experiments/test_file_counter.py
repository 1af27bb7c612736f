"""Workers count a packed file to the byte, once for all sessions, and only as long as somebody waits for it."""

import time

import pytest

from compression.core.compress import compress
from compression.engine import watchers
from compression.engine.cluster import Engine
from compression.experiments.file_counter import FileCounter
from compression.files.ledger import count_file, encode_file
from compression.networks.bundled import load_bundled
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec, PruneSpec, QuantSpec

PATIENCE = 60  # seconds
MODEL = "simple_cnn"
SPECS = [
    CompressionSpec(MODEL),
    CompressionSpec(MODEL, weights=QuantSpec(4)),
    CompressionSpec(MODEL, PruneSpec(sparsity=0.9), QuantSpec(2), fold_bn=True),
]


@pytest.fixture
def model() -> FloatModel:
    return load_bundled(MODEL)


@pytest.mark.parametrize("spec", SPECS)
def test_workers_count_what_the_file_takes(here: Engine, model: FloatModel, spec: CompressionSpec) -> None:
    counter, deadline = FileCounter(here), time.monotonic() + PATIENCE
    assert counter.known(model, spec) is None
    while (ledger := counter.look("a", model, spec)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    content, expected = encode_file(compress(model.module, spec), model)
    assert ledger == expected == counter.known(model, spec) == counter.look("b", model, spec)
    assert ledger.exact
    assert ledger.total == len(content)


def test_a_network_that_is_there_is_not_made_again(here: Engine, model: FloatModel) -> None:
    """Workers get the network of other settings, and count that one."""
    asked, given = SPECS[1], compress(model.module, SPECS[2])
    counter, deadline = FileCounter(here), time.monotonic() + PATIENCE
    while (ledger := counter.look("a", model, asked, given)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert ledger == count_file(given, model)


def test_a_file_that_nobody_waits_for_is_given_up(here: Engine, model: FloatModel) -> None:
    def asked() -> int:
        return len([key for key in here.pending if key[0].startswith("file-")])

    here.drop(here.pending)
    counter = FileCounter(here)
    for who, spec, expected in (("a", SPECS[0], 1), ("b", SPECS[0], 1), ("a", SPECS[1], 2), ("b", SPECS[2], 2)):
        assert counter.look(who, model, spec) is None
        assert asked() == expected
    counter.put(model, SPECS[0], count_file(compress(model.module, SPECS[0]), model))
    for who in "ab":
        assert counter.look(who, model, SPECS[0])
    assert asked() == 0


def test_a_file_whose_last_page_was_closed_is_given_up(
    here: Engine, model: FloatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.drop(here.pending)
    counter = FileCounter(here)
    counter.look("a", model, SPECS[0])
    counter.tidy()
    assert len(here.pending) == 1
    monkeypatch.setattr(watchers, "FORGET_SECONDS", 0)
    counter.tidy()
    assert here.pending == []
