"""The bytes of a file that a page shows are counted exactly once a reader has the first number of the accuracy."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from pages.ui.compute import accuracy, compressed
from pages.ui.frame.metrics import size_metric

SPEC = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.137), QuantSpec(5))  # was not measured beforehand
NOTHING = SimpleNamespace(images=0, total=10_000, whole=None, error=None)
SOME = SimpleNamespace(images=125, total=10_000, whole=None, error=None)
FAILED = SimpleNamespace(images=0, total=10_000, whole=None, error="workers died")
ALL = SimpleNamespace(images=10_000, total=10_000, whole="an evaluation", error=None)


class Shown:
    """A place of the page."""

    def metric(self, *arguments: Any, **options: Any) -> None:
        assert arguments[0] == "File size"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[CompressionSpec, str]]:
    """What workers were asked to count."""
    counted: list[tuple[CompressionSpec, str]] = []
    monkeypatch.setattr(compressed, "count_exactly", lambda shown, side="": counted.append((shown.spec, side)))
    monkeypatch.setattr(compressed.st, "session_state", {})
    monkeypatch.setattr(accuracy.images, "test_images", lambda: "ten thousand images")
    monkeypatch.setattr(accuracy.jobs, "look", lambda *_: None)
    monkeypatch.setattr(accuracy.jobs, "session_name", lambda: "me")
    return counted


def read(monkeypatch: pytest.MonkeyPatch, reading: SimpleNamespace) -> None:
    monkeypatch.setattr(accuracy, "evaluator", lambda: SimpleNamespace(look=lambda *_, **__: reading))


@pytest.mark.parametrize(("reading", "is_asked"), [(NOTHING, False), (SOME, True), (ALL, False)])
def test_a_look_at_the_accuracy_has_the_file_counted_after_the_first_images(
    reading: SimpleNamespace, is_asked: bool, asked: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(monkeypatch, NOTHING)
    size_metric(Shown(), compressed.answer(SPEC), side="left")  # type: ignore[arg-type]
    read(monkeypatch, reading)
    accuracy.look(SPEC, side="left")
    assert asked == ([(SPEC, "left")] if is_asked else [])


def test_a_look_at_the_accuracy_on_a_page_without_this_size_has_nothing_counted(
    asked: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(monkeypatch, SOME)
    accuracy.look(SPEC)
    read(monkeypatch, NOTHING)
    size_metric(Shown(), compressed.answer(replace(SPEC, weights=QuantSpec(6))))  # type: ignore[arg-type]
    read(monkeypatch, SOME)
    accuracy.look(SPEC)
    assert not asked


@pytest.mark.parametrize(("reading", "is_asked"), [(NOTHING, False), (SOME, True), (ALL, True), (FAILED, True)])
def test_the_metric_of_the_size_has_the_file_counted_unless_the_first_images_are_to_come(
    reading: SimpleNamespace, is_asked: bool, asked: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(monkeypatch, reading)
    size_metric(Shown(), compressed.answer(SPEC), side="left")  # type: ignore[arg-type]
    assert asked == ([(SPEC, "left")] if is_asked else [])


def test_without_test_images_the_file_is_counted_at_once(asked: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy.images, "test_images", lambda: accuracy.DataError("there are none"))
    size_metric(Shown(), compressed.answer(SPEC))  # type: ignore[arg-type]
    assert asked == [(SPEC, "")]
