"""`inspect`: the numbers of the package, as JSON and as words."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from compression.__main__ import main
from compression.commands.inspect import bitflips, calibration, corruptions, layers
from compression.commands.inspect.work import look
from compression.commands.shared.arguments import INSPECTIONS
from compression.data.images import ImageSet
from compression.engine.cluster import Engine
from compression.evaluation.evaluation import flips
from compression.inside.bits.report import storages
from compression.inside.saliency import Method
from compression.library.recovered import recovered_names
from compression.networks.bundled import load_bundled
from compression.results.landscape import read_landscape
from compression.spec import CompressionSpec, QuantSpec
from tests.commands.test_cli import Captured, json_of
from tests.support.session import command_session


@pytest.fixture
def computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report in words is made from what the workers computed for the same report as JSON."""
    results: dict[str, Any] = {}

    def look_once(name: str, parts_for: Callable[[Engine], Any]) -> Any:
        if name not in results:
            results[name] = look(name, parts_for)
        return results[name]

    for each in (bitflips, calibration, corruptions, layers):
        monkeypatch.setattr(each, "look", look_once)


@pytest.mark.parametrize("name", INSPECTIONS)
def test_every_inspection_has_a_report(name: str) -> None:
    assert import_module(f"compression.commands.inspect.{name}").run


def test_flips_are_those_of_the_committed_predictions(capsys: Captured, test_images: ImageSet) -> None:
    values = json_of(capsys, "inspect", "flips", "--model", "simple_cnn", "--bits", "3")
    landscape = read_landscape(load_bundled("simple_cnn"))
    before = landscape.get(CompressionSpec("simple_cnn"))
    after = landscape.get(CompressionSpec("simple_cnn", weights=QuantSpec(3)))
    assert before
    assert after
    change = flips(before.evaluation, after.evaluation)
    assert (values["counts"]["lost"], values["counts"]["won"]) == (change.lost, change.won)
    assert len(values["lost"]) == change.lost
    assert set(values["lost"]).isdisjoint(values["won"])
    assert sum(each["lost"] for each in values["classes"]) == change.lost
    assert sum(map(sum, values["confusion"]["change"])) == 10_000


def test_without_images_flips_come_from_what_was_measured_beforehand(copied_project: Path) -> None:
    with command_session(copied_project) as session:
        known = session.run("inspect", "flips", "--model", "simple_cnn", "--bits", "3")
        assert known.returncode == 0
        assert "10,000 images:" in known.stdout
        unknown = session.run("inspect", "flips", "--model", "simple_cnn", "--bits", "3", "--images", "100")
        assert (unknown.returncode, unknown.stdout) == (2, "")
        assert "there are no CIFAR-10 test images here" in unknown.stderr


def test_calibration_reports_both_networks(capsys: Captured, here: Engine, test_images: ImageSet) -> None:
    values = json_of(capsys, "inspect", "calibration", "--model", "simple_cnn", "--bits", "2", "--images", "1000")
    for network in ("float", "compressed"):
        assert values[network]["plain"]["images"] == 500
        assert values[network]["plain"]["accuracy"] == values[network]["scaled"]["accuracy"]
        assert 0 < values[network]["scaled"]["expected_calibration_error"] < 0.2
    assert values["compressed"]["plain"]["accuracy"] < values["float"]["plain"]["accuracy"]
    assert values["float"]["temperature"] == pytest.approx(1, abs=0.6)


def test_the_calibration_curve_has_bits_and_sparsities(
    capsys: Captured, here: Engine, test_images: ImageSet, training_images: ImageSet, computed_once: None
) -> None:
    options = "inspect", "calibration", "--curve", "--model", "simple_cnn", "--bits", "4", "--images", "200"
    points = json_of(capsys, *options)["points"]
    assert [each["bits"] for each in points[:7]] == [32, 8, 6, 5, 4, 3, 2]
    assert [each["sparsity"] for each in points[7:]] == [0.0, 0.3, 0.5, 0.7, 0.8, 0.9]
    assert points[7]["plain"] == points[4]["plain"]  # both are 4 bits without pruning
    assert all(each["temperature"] > 0 for each in points)
    assert main([*options]) == 0
    assert "90% sparsity" in capsys.readouterr().out


def test_image_prints_the_probabilities_and_the_maps_of_both_networks(capsys: Captured, test_images: ImageSet) -> None:
    values = json_of(capsys, "inspect", "image", "--model", "simple_cnn", "--image", "141")
    assert values["class"] == test_images.classes[int(test_images.labels[141])]
    assert set(values["maps"]) == set(Method)
    for each in values["maps"].values():
        assert each["float"]["map"] == each["compressed"]["map"]
        assert each["rank_correlation"] in (None, pytest.approx(1))
    assert sum(values["probabilities"]["float"]) == pytest.approx(1, abs=1e-5)
    assert main(["inspect", "image", "--model", "simple_cnn", "--image", "10000"]) == 2
    assert capsys.readouterr().err == "error: --image must be in 0..9,999, got 10000\n"


def test_image_prints_the_same_as_words(capsys: Captured, test_images: ImageSet) -> None:
    assert main(["inspect", "image", "--model", "simple_cnn", "--bits", "3", "--image", "141"]) == 0
    words = capsys.readouterr().out
    assert words.startswith("test image 141, class ")
    assert all(method in words for method in Method)


def test_corruptions_report_every_condition(
    capsys: Captured, here: Engine, test_images: ImageSet, computed_once: None
) -> None:
    options = "inspect", "corruptions", "--model", "simple_cnn", "--bits", "3", "--images", "100"
    values = json_of(capsys, *options)
    assert len(values["conditions"]) == 36
    clean, noisy = values["conditions"][0], values["conditions"][5]
    assert (clean["corruption"], noisy["corruption"], noisy["severity"]) == (None, "Noise", 5)
    assert noisy["float_correct"] < clean["float_correct"]
    assert clean["change"]["mean"] == (clean["correct"] - clean["float_correct"]) / 100
    assert sum(each["images"] for each in values["classes"]) == 100
    assert main([*options]) == 0
    assert "Rotation" in capsys.readouterr().out


def test_layers_report_each_layer(capsys: Captured, here: Engine, test_images: ImageSet, computed_once: None) -> None:
    options = "inspect", "layers", "--model", "simple_cnn", "--bits", "3", "--images", "20"
    values = json_of(capsys, *options)
    assert [each["name"] for each in values["layers"]] == ["conv1", "conv2", "fc1", "fc2"]
    for each in values["layers"]:
        assert each["images"] == 20
        assert each["accumulated_db"] < 40
        assert each["reestimated_spread"] is None
    assert main([*options]) == 0
    assert "fc2" in capsys.readouterr().out


def test_bitflips_report_each_storage(
    capsys: Captured, here: Engine, test_images: ImageSet, computed_once: None
) -> None:
    options = "inspect", "bitflips", "--model", "simple_cnn", "--images", "20"
    values = json_of(capsys, *options)
    assert [each["name"] for each in values["storages"]] == ["float32", "8-bit codes", "4-bit codes"]
    for each, bits in zip(values["storages"], (32, 8, 4), strict=True):
        assert len(each["by_position"]) == bits
        assert each["worst"]["correct"] == min(each["worst"]["candidates"]) <= each["unflipped"]
        assert each["file"]["refusals"] == each["file"]["bits"]
    assert main([*options]) == 0
    assert "worst bit found: bit 30" in capsys.readouterr().out


def test_bitflips_flip_a_network_that_is_compressed_already_once_as_it_is_stored(
    monkeypatch: pytest.MonkeyPatch, test_images: ImageSet
) -> None:
    names: list[str] = []

    def note_names(*arguments: Any) -> None:
        names.extend(each.name for each in storages(*arguments))
        raise ValueError("that is enough")

    monkeypatch.setattr(bitflips, "storages", note_names)
    assert main(["inspect", "bitflips", "--model", recovered_names()[0]]) == 2
    assert names == ["codes of its file", "8-bit codes", "4-bit codes"]
