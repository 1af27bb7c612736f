"""A recovered network stands on every page beside the others, with the size of its file, and is shown as it is."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from compression.core.compress import compress
from compression.core.training_evidence import evidence_for
from compression.data.cifar10 import TRAIN
from compression.files.packed_file import to_bytes
from compression.library import recovered
from compression.library.recovered import save_recovered
from compression.networks.bundled import load_bundled
from compression.networks.model import FloatModel
from compression.paths import PROJECT
from compression.retraining.lineage import Lineage, Point
from compression.retraining.recipe import Recipe
from compression.spec import ActivationSpec, CompressionSpec, PruneSpec, QuantSpec
from pages.ui import wording
from pages.ui.frame.frame import MENU

SPEC = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.8), QuantSpec(4), activations=ActivationSpec(4))
NAME = "simple_cnn-80-sparse-4-bits"
COMPARING = ("pages/quantization.py", "pages/pruning.py")  # these compress further, to compare two ways
POINTS = (Point(0, None, 500, 1000, 1.0), Point(8, 1.0, 600, 1000, 2.0))


@pytest.fixture(autouse=True)
def size(simple_cnn: FloatModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """The size of the file of a recovered network, with pruned and quantized weights and quantized inputs."""
    monkeypatch.setattr(recovered, "folder_of", lambda data=None: tmp_path)
    monkeypatch.setattr(recovered, "GALLERY", tmp_path / "gallery")
    content = to_bytes(compress(simple_cnn.module, SPEC, evidence_for(simple_cnn, SPEC)), simple_cnn)
    lineage = Lineage("simple_cnn", simple_cnn.digest, SPEC, Recipe(), None, 8, 1.0, TRAIN.fingerprint, 2.0, POINTS)
    save_recovered(NAME, content, lineage)
    return len(content)


def opened(path: str, **link: str) -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    for key, value in {"model": NAME, **link}.items():
        page.query_params[key] = value
    if path != "app.py":
        page.switch_page(path)
    page.run()
    assert not page.exception, path
    return page


@pytest.mark.parametrize("path", [path for path, _, _ in MENU])
def test_every_page_shows_it(path: str, size: int) -> None:
    page = opened(path)
    assert not page.toast
    shown = {metric.label: metric.value for metric in page.metric}
    if path not in COMPARING:
        assert shown.get("File size", wording.size(size)) == wording.size(size)
    captions = " ".join(caption.value for caption in page.caption)
    if any(box.key == "model" for box in page.sidebar.selectbox):
        assert f"compressed already: its packed file has {wording.size(size)}" in captions
        assert (
            f"{wording.percent(load_bundled('simple_cnn').accuracy, 2)} in float, before it was compressed" in captions
        )


def test_its_layers_have_their_bits_and_its_activations_are_counted_once() -> None:
    page = opened("app.py")
    operations = {metric.label: metric.value for metric in page.metric}["Bit operations"]
    assert operations == wording.quantity(1_890_560 * 4 * 4)


def test_other_settings_compress_it_further(size: int) -> None:
    page = opened("app.py", bits="2")
    shown = {metric.label: metric.value for metric in page.metric}["File size"]
    assert shown.removeprefix("≈ ") != wording.size(size)
    assert not page.exception


def test_picking_it_shows_it_as_it_is_whatever_was_set_for_another_network() -> None:
    page = opened("app.py", model="simple_cnn", bits="2", sparsity="0.5", fold="true")
    box = next(box for box in page.selectbox if box.key == "model")
    box.select(NAME).run()
    assert not page.exception
    assert page.query_params["model"] == NAME
    assert page.query_params["bits"] == "float"
    assert "sparsity" not in page.query_params or page.query_params["sparsity"] == "0"
    assert {metric.label: metric.value for metric in page.metric}["Sparsity"] != "0.0\N{NARROW NO-BREAK SPACE}%"


def test_a_student_is_in_float_and_not_called_compressed(simple_cnn: FloatModel) -> None:
    spec = CompressionSpec("untrained:simple_cnn")
    content = to_bytes(compress(simple_cnn.module, spec), simple_cnn)
    lineage = Lineage(spec.model, simple_cnn.digest, spec, Recipe(), None, 8, 1.0, TRAIN.fingerprint, 2.0, POINTS)
    save_recovered("simple_cnn-float", content, lineage)
    page = opened("app.py", model="simple_cnn-float")
    captions = " ".join(caption.value for caption in page.caption)
    assert f"in float: its packed file has {wording.size(len(content))}" in captions
    assert "compressed already" not in captions
    assert all(metric.delta != "compressed already" for metric in page.metric)
