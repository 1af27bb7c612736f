"""The committed landscape: what was written is read unchanged, and never used if it does not hold any more."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from compression.__main__ import main
from compression.commands import landscape as command
from compression.core.compress import compress
from compression.data.cifar10 import TEST
from compression.engine.evaluator import Evaluator
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.reading import Reading
from compression.evaluation.sampling import plain_order
from compression.files.exported import load_exported
from compression.files.packed_file import to_bytes
from compression.library.recovered import gallery_names
from compression.networks.bundled import bundled_names, load_bundled
from compression.networks.model import FloatModel
from compression.results import landscape
from compression.results.costs import Costs, costs
from compression.results.landscape import FOLDER, read_landscape, read_landscape_of_file, write_landscape
from compression.results.neighbours import Neighbours, committed_reading
from compression.results.result import Result
from compression.results.store import Store
from compression.spec import CompressionSpec, PruneSpec, QuantSpec, Scheme, Scope
from compression.spec.grid import GRID_BITS, GRID_SPARSITIES, landscape_specs

NAME = "simple_cnn"
FLOAT = CompressionSpec(NAME)
COUNT = 1_001
REMAKE = "run `python -m compression landscape` to measure the landscape again"


def made_up(spec: CompressionSpec, seed: int) -> Result:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(COUNT) % 10
    right = torch.rand(COUNT, generator=generator) < 0.9 - seed / 1000
    return Result(
        spec,
        Costs(*(seed + number for number in range(1, 10))),
        Evaluation(
            predictions=torch.where(right, labels, (labels + 1) % 10).to(torch.uint8),
            labels=labels,
            classes=TEST.classes,
            in_top5=COUNT - seed,
            loss_sum=seed + 0.5,
            margins=torch.rand(COUNT, generator=generator).half().float() if spec == FLOAT else None,
        ),
    )


RESULTS = [made_up(spec, number) for number, spec in enumerate(landscape_specs(NAME))]


@pytest.fixture
def folder(tmp_path: Path, simple_cnn: FloatModel) -> Path:
    write_landscape(simple_cnn, RESULTS, tmp_path)
    return tmp_path


@pytest.fixture
def in_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts the made-up landscape in the place of the committed one."""
    monkeypatch.setattr(landscape, "FOLDER", folder)
    return folder


def same(one: Result, other: Result) -> bool:
    a, b = one.evaluation, other.evaluation
    return (
        (one.spec, one.costs, a.in_top5, a.loss_sum) == (other.spec, other.costs, b.in_top5, b.loss_sum)
        and torch.equal(a.predictions, b.predictions)
        and torch.equal(a.labels, b.labels)
        and (a.margins is b.margins is None or torch.equal(a.margins, b.margins))
    )


# ---- the file


def test_a_written_landscape_is_read_unchanged(folder: Path, simple_cnn: FloatModel) -> None:
    result = read_landscape(simple_cnn, folder)
    assert result.stale is None
    assert result.torch == torch.__version__
    assert all(same(one, other) for one, other in zip(result.results, RESULTS, strict=True))
    assert all(same(result.get(each.spec), each) for each in RESULTS)
    assert result.get(CompressionSpec(NAME, weights=QuantSpec(7))) is None


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("weights", lambda model, monkeypatch: replace(model, module=load_bundled("cnn3").module)),
        ("arithmetic", lambda model, monkeypatch: monkeypatch.setattr(landscape, "arithmetic", lambda **_: "other")),
        ("data", lambda model, monkeypatch: monkeypatch.setattr(landscape, "TEST", replace(TEST, fingerprint="other"))),
    ],
    ids=["weights", "arithmetic", "data"],
)
def test_a_landscape_of_other_weights_images_or_code_is_stale(folder, simple_cnn, monkeypatch, name, change):
    result = read_landscape(change(simple_cnn, monkeypatch) or simple_cnn, folder)
    assert result.results == []
    assert result.get(FLOAT) is None
    assert result.stale.startswith(
        f"The committed landscape of {NAME} was measured with other {name} and is not used; "
    )


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"no parquet at all" * 100], ids=["empty", "cut", "other"])
def test_a_damaged_landscape_is_stale(tmp_path, simple_cnn, damage):
    (tmp_path / f"{NAME}.parquet").write_bytes(damage)
    result = read_landscape(simple_cnn, tmp_path)
    assert result.results == []
    assert result.stale.startswith(f"The committed landscape of {NAME} cannot be read (")


def test_without_a_file_there_are_no_results(tmp_path, simple_cnn):
    assert read_landscape(simple_cnn, tmp_path).get(FLOAT) is None
    assert committed_reading(simple_cnn, FLOAT, lambda: 0.0) is None or (FOLDER / f"{NAME}.parquet").exists()


# ---- the reading of a spec


def test_a_spec_of_the_grid_has_an_exact_reading(in_place: Path, simple_cnn: FloatModel) -> None:
    spec = CompressionSpec(NAME, PruneSpec(sparsity=0.5), QuantSpec(4))
    result = committed_reading(simple_cnn, spec, lambda: 0.5)
    expected = next(each for each in RESULTS if each.spec == spec).evaluation
    assert isinstance(result, Reading)
    assert result.exact
    assert result.estimate.accuracy == expected.accuracy
    assert result.before.correct == RESULTS[0].evaluation.correct
    assert result.measured_with == torch.__version__
    assert torch.equal(result.order.rows, plain_order(COUNT).rows)


@pytest.mark.parametrize(
    ("spec", "sparsity", "around"),
    [
        (CompressionSpec(NAME, weights=QuantSpec(7)), 0.0, [(None, 6), (None, 8)]),
        (CompressionSpec(NAME, weights=QuantSpec(16)), 0.0, [(None, 8), (None, None)]),
        (CompressionSpec(NAME, PruneSpec(sparsity=0.55)), 0.55, [(0.5, None), (0.6, None)]),
        (CompressionSpec(NAME, PruneSpec(threshold=0.01)), 0.1, [(None, None), (0.3, None)]),
        (CompressionSpec(NAME, PruneSpec(sparsity=0.5), QuantSpec(7)), 0.5, [(0.5, 6), (0.5, 8)]),
        (
            CompressionSpec(NAME, PruneSpec(sparsity=0.85), QuantSpec(7)),
            0.85,
            [(0.8, 6), (0.8, 8), (0.9, 6), (0.9, 8)],
        ),
    ],
    ids=["bits", "bits to float", "sparsity", "threshold", "on one axis", "both"],
)
def test_a_spec_off_the_grid_has_its_measured_neighbours(in_place, simple_cnn, spec, sparsity, around):
    result = committed_reading(simple_cnn, spec, lambda: sparsity)
    assert isinstance(result, Neighbours)
    expected = {
        CompressionSpec(NAME, PruneSpec(sparsity=s) if s else None, QuantSpec(b) if b else None) for s, b in around
    }
    assert {each.spec for each in result.results} == expected
    accuracies = [each.evaluation.accuracy for each in RESULTS if each.spec in expected]
    assert (result.low, result.high) == (min(accuracies), max(accuracies))


def test_with_another_scheme_only_bits_have_neighbours(in_place, simple_cnn):
    affine = CompressionSpec(NAME, weights=QuantSpec(7, Scheme.AFFINE))
    result = committed_reading(simple_cnn, affine, lambda: 0.0)
    assert {each.spec.weights.bits for each in result.results} == {6, 8}
    assert committed_reading(simple_cnn, replace(affine, prune=PruneSpec(sparsity=0.55)), lambda: 0.55) is None


@pytest.mark.parametrize(
    "spec",
    [
        CompressionSpec(NAME, PruneSpec(sparsity=0.95)),
        CompressionSpec(NAME, PruneSpec(sparsity=0.55, scope=Scope.LAYER)),
        CompressionSpec(NAME, weights=QuantSpec(7, skip_ends=True)),
    ],
    ids=["beyond the grid", "another scope", "other layers"],
)
def test_a_spec_that_differs_otherwise_from_the_grid_has_no_neighbours(in_place, simple_cnn, spec):
    assert (
        committed_reading(simple_cnn, spec, lambda: 0.95 if spec.prune and spec.prune.sparsity == 0.95 else 0.55)
        is None
    )


# ---- a network that is compressed already


def test_a_packed_file_has_results_until_it_is_another_file(tmp_path: Path, simple_cnn: FloatModel) -> None:
    content = to_bytes(compress(simple_cnn.module, CompressionSpec(NAME, weights=QuantSpec(4))), simple_cnn)
    stored = load_exported(content, "some.safetensors", "some")
    alone = replace(made_up(FLOAT, 0), spec=CompressionSpec("some"))
    write_landscape(stored, [alone], tmp_path)
    for result in (read_landscape(stored, tmp_path), read_landscape_of_file("some", content, tmp_path)):
        assert [each.spec for each in result.results] == [alone.spec]
        assert torch.equal(result.results[0].evaluation.predictions, alone.evaluation.predictions)
        assert torch.equal(result.results[0].evaluation.margins, alone.evaluation.margins)
    other = read_landscape_of_file("some", content + b"0", tmp_path)
    assert "other weights" in other.stale
    assert not other.results


# ---- with images


def test_with_images_a_committed_result_is_not_evaluated_again(here, tmp_path, test_images, simple_cnn, monkeypatch):
    if read_landscape(simple_cnn).stale:
        pytest.skip("the committed landscape is stale")
    spec = CompressionSpec(NAME, PruneSpec(sparsity=0.5), QuantSpec(4))
    evaluator = Evaluator(here, Store(tmp_path / "results.sqlite"), test_images, use_landscape=True)
    reading = evaluator.look("me", simple_cnn, spec)
    assert reading.exact
    assert reading.measured_with
    evaluated = Evaluator(here, Store(tmp_path / "results.sqlite"), test_images).evaluate(simple_cnn, spec)
    assert torch.equal(reading.whole.predictions, evaluated.predictions)
    again = Evaluator(here, Store(tmp_path / "results.sqlite"), test_images, use_landscape=True)
    assert again.look("me", simple_cnn, spec).measured_with is None  # a result of this machine replaces a committed one


# ---- the command that measures


def test_only_missing_results_are_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model, missing = load_bundled(NAME), CompressionSpec(NAME, weights=QuantSpec(7))
    committed = {result.spec: result for result in read_landscape(model).results}
    new = replace(committed[CompressionSpec(NAME, weights=QuantSpec(8))], spec=missing)
    asked: list[list[CompressionSpec]] = []
    monkeypatch.setattr(command, "write_landscape", partial(write_landscape, folder=tmp_path))
    monkeypatch.setattr(command, "landscape_specs", lambda name: (*landscape_specs(name), missing))
    monkeypatch.setattr(command, "sweep", lambda specs, _: asked.append(specs) or SimpleNamespace(results=[new]))
    assert main(["landscape", "--model", NAME]) == 0
    assert asked == [[missing]]
    written = {result.spec: result for result in read_landscape(model, tmp_path).results}
    assert list(written) == [*committed, missing]
    for spec, result in committed.items():
        assert written[spec].costs == result.costs
        assert torch.equal(written[spec].evaluation.predictions, result.evaluation.predictions)


def test_a_recovered_network_is_measured_as_it_is() -> None:
    name = gallery_names()[0]
    assert command.specs_of(name) == (CompressionSpec(name),)


def test_results_of_another_torch_are_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_bundled(NAME)
    assert len(command.usable_results(model)) == len(landscape_specs(NAME))
    monkeypatch.setattr(torch, "__version__", "0.1")
    assert command.usable_results(model) == {}


# ---- what is committed


@pytest.mark.parametrize("name", bundled_names())
def test_the_committed_landscape_holds_for_the_weights_and_code_of_now(name: str) -> None:
    result = read_landscape(load_bundled(name))
    assert result.stale is None, REMAKE
    assert [each.spec for each in result.results] == list(landscape_specs(name)), REMAKE
    assert len(result.results) >= 100
    as_float = result.get(CompressionSpec(name))
    assert as_float.evaluation.total == 10_000
    assert as_float.evaluation.accuracy == load_bundled(name).accuracy


@pytest.mark.parametrize("name", bundled_names())
def test_committed_bytes_are_those_of_now(name: str) -> None:
    """Checks two specs of each network; one run of the same code counted all of them."""
    model = load_bundled(name)
    for spec in (
        CompressionSpec(name, weights=QuantSpec(8)),
        CompressionSpec(name, PruneSpec(sparsity=0.9), QuantSpec(4)),
    ):
        assert read_landscape(model).get(spec).costs == costs(model, spec), REMAKE


def test_the_committed_files_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 15_000_000


def test_the_committed_grid_has_the_positions_of_the_sliders() -> None:
    result = landscape_specs(NAME)
    for bits in GRID_BITS:
        for sparsity in GRID_SPARSITIES:
            prune = PruneSpec(sparsity=sparsity) if sparsity else None
            assert CompressionSpec(NAME, prune, QuantSpec(bits) if bits else None) in result
    assert {spec.weights.scheme for spec in result if spec.weights} == {*Scheme} - {Scheme.STEP}
