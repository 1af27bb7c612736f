"""One size and one set of numbers: on the pages, in the command line, in stored results, and on the disk."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from compression.commands import evaluate
from compression.commands.shared.file_formats import write_packed
from compression.commands.shared.smaller_forms import SmallerForms
from compression.evaluation.reading import Reading
from compression.files import ledger
from compression.files.ledger import count_file
from compression.files.size import count_bytes
from compression.networks.bundled import bundled_names, load_bundled
from compression.networks.weights import weighted_layers
from compression.results.costs import costs
from compression.results.landscape import read_landscape
from compression.spec import ActivationSpec, CompressionSpec, LayerSpec, PruneSpec, QuantSpec
from compression.spec.grid import landscape_specs
from pages.ui.compute import accuracy, compressed, deploy

SETTINGS = [
    CompressionSpec(""),
    CompressionSpec("", None, QuantSpec(5, granularity="tensor")),
    CompressionSpec("", PruneSpec(sparsity=0.5), QuantSpec(4)),
    CompressionSpec("", PruneSpec(sparsity=0.5, structure="filter"), QuantSpec(8, "affine")),
    CompressionSpec("", PruneSpec(structure="n:m"), QuantSpec(4, "min-max")),
    CompressionSpec("", None, QuantSpec(4, granularity="group", group_size=32), fold_bn=True),
    CompressionSpec("", PruneSpec(sparsity=0.9)),
    CompressionSpec("", None, QuantSpec(3, "power-of-two"), activations=ActivationSpec(8)),
]
# Recipes: the first and the last layer of each network have settings of their own.
OWN = (("bits", 8, None), ("sparsity", None, 0.7), ("both", 3, 0.4), ("float", 32, None))
TESTED = {"simple_cnn": 16, "cnn3": 13, "resnet20": 8, "mobilenetv2": 2, "vgg": 1}


def recipe(spec: CompressionSpec, first: str, last: str, number: int) -> CompressionSpec:
    """Every other spec gets settings for two layers."""
    if number % 2 == 0:
        return spec
    _, bits, sparsity = OWN[number // 2 % len(OWN)]
    layers = (LayerSpec(first, bits, sparsity), LayerSpec(last, 6, None))
    return replace(spec, layers=layers if spec.prune is None or spec.prune.structure == "weight" else layers[1:])


def specs() -> list[CompressionSpec]:
    chosen = []
    for name in bundled_names():
        names = list(weighted_layers(load_bundled(name).module))
        settings = [replace(spec, model=name) for spec in SETTINGS]
        settings = [*settings, *(replace(spec, fold_bn=not spec.fold_bn) for spec in settings)][: TESTED[name]]
        chosen += [recipe(spec, names[0], names[-1], number) for number, spec in enumerate(settings)]
    return chosen


@pytest.fixture
def packed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One network is packed once for all who ask, because that takes most of the time. `costs` makes its own."""
    monkeypatch.setattr(ledger, "pack_layers", cache(ledger.pack_layers))


def test_the_size_is_the_same_to_the_byte_wherever_it_is_shown(tmp_path: Path, packed_once: None) -> None:
    """The tile, a stored result (which Front shows), Deploy, the command line, and the file that `export` writes."""
    all_specs = specs()
    assert len(set(all_specs)) == 40
    assert sum(bool(spec.layers) for spec in all_specs) > 10
    for spec in all_specs:
        model, network = load_bundled(spec.model), compressed.model(spec)
        content, parts = deploy.packed_file(spec)
        write_packed(network, model, tmp_path / "exported.safetensors")
        printed = evaluate.size_values(evaluate.Bytes(count_bytes(network), count_file(network, model)))
        sizes = {
            "tile": compressed.answer(spec).file_bytes,
            "front": costs(model, spec).file,
            "deploy": parts.total,
            "download": len(content),
            "disk": (tmp_path / "exported.safetensors").stat().st_size,
            "command line": printed["file"],
        }
        assert len(set(sizes.values())) == 1, (spec, sizes)


def test_the_pages_and_the_command_line_show_the_same_numbers_under_the_same_names() -> None:
    """For 30 specs of the committed landscape, whose accuracy needs no counting."""
    for spec in list(landscape_specs("simple_cnn"))[:90:3]:
        model, network, answer = load_bundled(spec.model), compressed.model(spec), compressed.answer(spec)
        reading = accuracy.look_beforehand(spec)
        assert isinstance(reading, Reading)
        committed = read_landscape(model).get(spec)
        assert reading.whole
        assert committed
        count = evaluate.Bytes(count_bytes(network), count_file(network, model))
        printed = json.loads(evaluate.as_json(network, model, count, reading, SmallerForms(), answer.warnings))
        shown = {name: printed[name] for name in ("weights", "nonzero", "sparsity", "correct", "accuracy", "warnings")}
        assert shown == {
            "weights": answer.weights,
            "nonzero": answer.nonzero,
            "sparsity": answer.sparsity,
            "correct": reading.whole.correct,
            "accuracy": pytest.approx(reading.whole.accuracy),
            "warnings": list(answer.warnings),
        }
        assert printed["size_bytes"] == {
            "float32": answer.file.float32,
            "dense": answer.memory.dense.total,
            "sparse": answer.memory.sparse.total,
            "in_memory": answer.memory.best.total,
            "coded": committed.costs.coded,
            "best": answer.file_bytes,
            "file": answer.file_bytes,
        }
