"""Recovered networks lie in two folders, and stand beside the others by name, with the size of their files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from compression.commands.models import line, row_of_loaded
from compression.core.compress import compress
from compression.errors import CheckpointError
from compression.files.packed_file import to_bytes
from compression.files.stored import StoredNetwork, compress_network
from compression.library import catalog, recovered
from compression.library.recovered import (
    all_recovered,
    by_name,
    delete_recovered,
    find_recovered,
    folder_of,
    load_recovered,
    name_of,
    recovered_names,
    save_recovered,
)
from compression.networks.bundled import bundled_names
from compression.networks.model import FloatModel
from compression.results.costs import costs
from compression.retraining.lineage import Lineage, Point
from compression.retraining.recipe import Recipe
from compression.spec import CompressionSpec, PruneSpec, QuantSpec

SPEC = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.9), QuantSpec(4))
LINEAGE = Lineage(
    parent="simple_cnn",
    digest="0" * 64,
    spec=SPEC,
    recipe=Recipe(),
    teacher=None,
    steps=383,
    epochs=1.0,
    images="1" * 64,
    seconds=12.0,
    points=(Point(0, None, 500, 1000, 1.0), Point(383, 0.7, 800, 1000, 12.0)),
    accuracy=0.79,
)


@pytest.fixture(autouse=True)
def own_gallery(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The gallery of the project is an empty folder of the test, which does not exist yet."""
    monkeypatch.setattr(recovered, "GALLERY", tmp_path / "gallery")


@pytest.fixture(scope="module")
def content(simple_cnn: FloatModel) -> bytes:
    return to_bytes(compress(simple_cnn.module, SPEC), simple_cnn)


def test_there_is_none_where_there_is_no_folder(tmp_path: Path) -> None:
    assert all_recovered(tmp_path) == []
    assert set(bundled_names()) <= set(catalog.network_names(tmp_path))
    with pytest.raises(ValueError, match="there is no network 'mine'"):
        catalog.load_network("mine", tmp_path)


def test_what_is_saved_stands_beside_the_other_networks_until_it_is_deleted(tmp_path: Path, content: bytes) -> None:
    name = name_of("simple_cnn", LINEAGE, content)
    path = save_recovered(name, content, LINEAGE, tmp_path)
    assert catalog.network_names(tmp_path)[-1] == name
    model = catalog.load_network(name, tmp_path)
    assert isinstance(model, StoredNetwork)
    assert (model.name, model.nbytes, model.accuracy) == (name, path.stat().st_size, 0.79)
    [each] = all_recovered(tmp_path)
    assert (each.lineage, each.nbytes, each.is_bundled) == (LINEAGE, len(content), False)
    title = each.title({name: each})
    assert title == "simple_cnn: 4 bits, 90 % sparse, trained 1 epoch"
    assert model.about["origin"] == f"recovered from {title}"
    delete_recovered(name, tmp_path)
    assert all_recovered(tmp_path) == []
    assert not list(folder_of(tmp_path).iterdir())


def test_one_that_was_trained_on_from_another_is_called_after_the_float_network(tmp_path: Path, content: bytes) -> None:
    parent = name_of("simple_cnn", LINEAGE, content)
    save_recovered(parent, content, LINEAGE, tmp_path)
    save_recovered("child", content, replace(LINEAGE, parent=parent), tmp_path)
    here = by_name(tmp_path)
    assert here["child"].title(here) == f"simple_cnn: 4 bits, 90 % sparse, trained 1 epoch from {parent[-6:]}"
    assert load_recovered("child", tmp_path).about["origin"] == f"recovered from {here['child'].title(here)}"


def test_its_size_is_that_of_its_file_and_not_of_float32(tmp_path: Path, content: bytes) -> None:
    save_recovered("small", content, LINEAGE, tmp_path)
    model = load_recovered("small", tmp_path)
    counted = costs(model, CompressionSpec("small"))
    assert counted.file == len(content)
    assert counted.sparsity == pytest.approx(0.9, abs=0.01)
    assert counted.bit_operations < costs(model, CompressionSpec("small", PruneSpec(sparsity=0.95))).bit_operations
    assert [each.bits for each in compress_network(model, CompressionSpec("small")).layers] == [4, 4, 4, 4]


def test_the_gallery_of_the_project_comes_first_and_is_not_deleted(tmp_path: Path, content: bytes) -> None:
    save_recovered("b", content, LINEAGE, tmp_path)
    folder_of(tmp_path).rename(tmp_path / "gallery")
    save_recovered("a", content, LINEAGE, tmp_path)
    save_recovered("b", content, replace(LINEAGE, seconds=0.0), tmp_path)
    assert [(each.name, each.is_bundled) for each in all_recovered(tmp_path)] == [("b", True), ("a", False)]
    delete_recovered("b", tmp_path)
    assert recovered_names(tmp_path) == ["b", "a"]


def test_what_was_trained_before_has_the_recipe_that_its_lineage_says() -> None:
    for each in all_recovered(Path("nowhere")):
        written = json.loads(each.path.with_name(f"{each.name}.lineage.json").read_text())["recipe"]
        assert json.loads(each.lineage.recipe.to_json()) == written


def test_a_network_that_is_called_like_a_bundled_one_is_not_listed(tmp_path: Path, content: bytes) -> None:
    save_recovered("simple_cnn", content, LINEAGE, tmp_path)
    assert find_recovered("simple_cnn", tmp_path) is None
    assert not isinstance(catalog.load_network("simple_cnn", tmp_path), StoredNetwork)


def test_a_lineage_that_cannot_be_read_or_has_no_file_is_not_listed(tmp_path: Path, content: bytes) -> None:
    path = save_recovered("small", content, LINEAGE, tmp_path)
    lineage = path.with_name("small.lineage.json")
    lineage.write_text(json.dumps({"parent": "resnet20"}))
    assert recovered_names(tmp_path) == []
    lineage.write_text(LINEAGE.to_json())
    assert recovered_names(tmp_path) == ["small"]
    path.unlink()
    assert recovered_names(tmp_path) == []


def test_a_damaged_file_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    save_recovered("small", content[:-1], LINEAGE, tmp_path)
    with pytest.raises(CheckpointError, match=r"small\.safetensors is damaged"):
        load_recovered("small", tmp_path)


def test_a_name_says_what_it_is_and_belongs_to_one_file(content: bytes) -> None:
    name = name_of("simple_cnn", LINEAGE, content)
    assert name.startswith("simple_cnn-4-bits-90-sparse-1-epoch-")
    assert name != name_of("simple_cnn", LINEAGE, content + b"0")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    assert len(name_of("a" * 1000, LINEAGE, content)) <= 110


def test_the_list_of_networks_has_its_bytes(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch, simple_cnn: FloatModel
) -> None:
    save_recovered("small", content, LINEAGE, tmp_path)
    monkeypatch.setattr(catalog, "load_network", lambda name: load_recovered(name, tmp_path))
    row = row_of_loaded("small")
    assert row["file_bytes"] == len(content)
    assert line(row).endswith(f"79.00% on CIFAR-10's 10,000 test images, compressed to {len(content):,} bytes")
    assert "not counted" in line(row | {"accuracy": None})
