"""Bring your own: a checkpoint becomes a network of this browser session, or a sentence says why not."""

import gc
import io
import pickle
import resource
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import safetensors.torch
import torch
from streamlit.testing.v1 import AppTest
from torch import nn

from compression.core.compress import compress
from compression.data.cifar10 import CLASSES, SPLITS
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.normalization_trial import choice_in_words
from compression.files.packed_file import to_bytes
from compression.networks.architectures.resnet import ResNet
from compression.networks.model import FloatModel, freeze_
from compression.networks.normalization import NORMALIZATIONS
from compression.paths import PROJECT
from compression.spec import CompressionSpec, QuantSpec
from pages.ui.checkpoint import upload
from pages.ui.compute import images, uploads
from tests.networks.test_damaged import damage
from tests.pages.conftest import until
from tests.support.networks import save

MIME = "application/octet-stream"


def small() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return ResNet(1, "A").eval()


def stored_compressed(content: bytes) -> bytes:
    """The same zip, its entries deflated."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.namelist():
            new.writestr(entry, old.read(entry))
    return stream.getvalue()


@pytest.fixture(autouse=True)
def own_trial_images(few_trial_images: None) -> Iterator[None]:
    images.trial_images.clear()
    yield
    images.trial_images.clear()


@pytest.fixture
def page() -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    page.switch_page("pages/checkpoint.py")
    return page.run()


@pytest.fixture
def no_images(monkeypatch, tmp_path_factory) -> Iterator[None]:
    """Nothing to try normalisations on, which is most of the time that a sound upload takes."""
    folder = tmp_path_factory.mktemp("no images")
    for split in SPLITS:
        (folder / f"{split}-00000-of-00001.parquet").write_bytes(b"not a Parquet file")
    monkeypatch.setenv("CIFAR10_ROOT", str(folder))
    caches = images.test_images, images.load_once, images.trial_images
    for cache in caches:
        cache.clear()
    yield
    for cache in caches:
        cache.clear()


def send(page: AppTest, content: bytes, name: str = "my net.pth") -> AppTest:
    page.file_uploader[0].set_value((name, content, MIME))
    page.run()
    assert not page.exception
    return page


def told(page: AppTest) -> str:
    return " ".join(block.value for kind in (page.error, page.success, page.warning, page.info) for block in kind)


# ---- understood


def test_a_checkpoint_is_recognised_and_joins_the_picker_of_every_page(page, test_images):
    wrapped = {"state_dict": {f"module.{key}": value for key, value in small().state_dict().items()}, "epoch": 3}
    send(page, save(wrapped))
    assert "ResNet-8 with shortcuts without parameters (option A)" in told(page)
    assert "“module.” removed from every name" in told(page)
    (name,) = page.session_state["mine"]
    for path in ("app.py", "pages/networks.py"):
        page.switch_page(path).run()
        assert not page.exception
        assert name in page.selectbox(key="model").options


def test_the_tried_normalisations_are_shown_lowest_loss_first(page, test_images):
    send(page, save(small().state_dict()))
    rows = page.dataframe[0].value
    assert len(rows) == 5
    (model,) = page.session_state["mine"].values()
    assert list(rows["Normalisation"]) == [each.normalization for each in model.about["choice"].trials]
    assert model.normalization.name == rows["Normalisation"][0]
    assert choice_in_words(model.about["choice"]) in told(page)  # of an untrained network nothing is certain


def test_another_normalisation_makes_another_network_beside_the_first(page, no_images):
    send(page, save(small().state_dict()))
    (name,) = page.session_state["mine"]
    page.selectbox(key=f"normalization {name}").set_value("imagenet").run()
    assert not page.exception
    networks = page.session_state["mine"]
    assert list(networks) == [name, f"{name}-imagenet"]
    assert networks[f"{name}-imagenet"].normalization.name == "imagenet"
    assert networks[f"{name}-imagenet"].digest != networks[name].digest
    assert f"Explore {name}-imagenet" in [link.proto.label for link in page.get("page_link")]


def test_what_the_file_says_of_its_accuracy_is_shown(page, no_images):
    send(page, save({"net": small().state_dict(), "best_acc": 93.02}))
    assert any(block.value.startswith("The file says 93.02") for block in page.caption)


def test_a_network_without_a_finite_loss_is_refused(page, test_images):
    broken = small().state_dict()
    broken["fc.weight"].fill_(1e38)
    broken["fc.bias"].fill_(3e38)
    broken["bn1.bias"].fill_(1e38)
    send(page, save(broken))
    assert "This file cannot be used: the network gives infinite outputs" in page.error[0].value
    assert not page.session_state["mine"]


def test_all_images_are_counted_and_set_beside_what_the_reader_says(page, public_checkpoint, test_images, here):
    send(page, public_checkpoint.read_bytes(), public_checkpoint.name)
    page.number_input(key="stated").set_value(91.73)
    said = lambda: " ".join(block.value for block in page.markdown)
    until(page, lambda: "test images are classified correctly" in said())
    assert "9,173 of 10,000 test images are classified correctly" in said()
    assert "This is the accuracy that you expected." in said()
    assert "The file says 91.78 % (best_prec1), counted 91.73 %: they agree." in said()


def evaluation(correct: int, total: int) -> Evaluation:
    labels = torch.zeros(total, dtype=torch.int64)
    predictions = torch.ones(total, dtype=torch.uint8)
    predictions[:correct] = 0
    return Evaluation(predictions, labels, CLASSES, in_top5=total, loss_sum=0.0)


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        (0.91, "This is the accuracy that you expected."),
        (0.92, "the difference of -1.0 points lies within the interval."),
        (0.95, "the difference of **-4.0 points** is more than chance."),
        (None, "(95 % interval"),
    ],
)
def test_the_verdict_tells_equal_from_chance_from_wrong(stated, words):
    assert words in upload.verdict(evaluation(910, 1000), stated)


def explore(name: str) -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    page.query_params["model"] = name
    page.run()
    assert not page.exception
    return page


def test_another_session_sees_it_by_its_link_alone_and_not_when_it_is_deleted(page, test_images):
    send(page, save(small().state_dict()))
    (name,) = page.session_state["mine"]
    assert name not in explore("cnn3").selectbox(key="model").options
    assert explore(name).selectbox(key="model").value == name
    page.button(key=f"forget {name}").click().run()
    other = explore(name)
    assert name not in other.selectbox(key="model").options
    assert "kept for an hour" in other.toast[0].value


def test_uploads_are_kept_for_an_hour_and_not_more_than_fit(monkeypatch):
    moment = 0.0
    monkeypatch.setattr(uploads.time, "monotonic", lambda: moment)
    uploads._shelf.clear()
    for number in range(20):
        moment += 1
        uploads.keep(FloatModel(f"network {number}", nn.Linear(3, 3), NORMALIZATIONS["cifar10"]))
    assert list(uploads._shelf()) == [f"network {number}" for number in range(4, 20)]
    moment += uploads.KEPT_SECONDS - 5
    assert uploads.adopt("network 19")
    assert not uploads.adopt("network 4")
    for number in range(3):
        moment += 1
        uploads.keep(FloatModel(f"large {number}", nn.Linear(5_000, 5_000), NORMALIZATIONS["cifar10"]))
    assert list(uploads._shelf()) == ["large 2"]
    uploads._shelf.clear()


def test_it_can_be_forgotten(page):
    send(page, save(small().state_dict()))
    (name,) = page.session_state["mine"]
    page.button(key=f"forget {name}").click().run()
    assert not page.session_state["mine"]
    assert "Upload a checkpoint." in told(page)


def test_the_shelf_of_a_session_is_bounded(page, no_images):
    for seed in range(uploads.MOST_OF_ONE_SESSION + 1):
        state = small().state_dict()
        state["fc.bias"] = torch.full((10,), float(seed))
        send(page, save(state), f"net{seed}.pt")
    assert len(page.session_state["mine"]) == uploads.MOST_OF_ONE_SESSION
    assert not any(name.startswith("net0-") for name in page.session_state["mine"])


def test_without_images_the_normalisation_is_said_to_be_assumed(page, no_images):
    send(page, save(small().state_dict()))
    assert "cannot be found by trying" in told(page)


def test_a_packed_file_of_deploy_is_read_with_its_own_normalisation(page, no_images):
    model = FloatModel("small", freeze_(small()), NORMALIZATIONS["half"], None, {"arch": "resnet8-a"})
    send(
        page,
        to_bytes(compress(model.module, CompressionSpec("small", weights=QuantSpec(4))), model),
        "small.safetensors",
    )
    assert "a packed file, decoded and verified" in told(page)
    (mine,) = page.session_state["mine"].values()
    assert mine.normalization.name == "half"
    assert any("The file states its normalisation: half." in block.value for block in page.caption)


def test_a_reader_can_choose_among_several_weights_of_a_file(page, no_images):
    other = {key: value * 2 for key, value in small().state_dict().items()}
    send(page, save({"model": small().state_dict(), "model_ema": other}))
    assert "weights of “model”, not of “model_ema”" in told(page)
    (name,) = page.session_state["mine"]
    page.selectbox(key=f"entry {name}").set_value("model_ema").run()
    assert not page.exception
    average = page.session_state["mine"][f"{name}-model_ema"]
    assert torch.equal(average.module.fc.weight, other["fc.weight"])


# ---- refused


def with_head(classes: int) -> Mapping[str, torch.Tensor]:
    return small().state_dict() | {"fc.weight": torch.zeros(classes, 64), "fc.bias": torch.zeros(classes)}


SHAPE = small().state_dict() | {"bn1.bias": torch.zeros(3)}
NAN = small().state_dict() | {"bn1.bias": torch.full((16,), float("nan"))}

REFUSED: dict[str, tuple[bytes, str]] = {
    "code": (save(small()), "would run code that it brings along (compression.networks.architectures.resnet.ResNet)"),
    "cut": (save(small().state_dict())[:5000], "damaged"),
    "a picture": (b"\x89PNG\r\n" + bytes(100), "damaged"),
    "nothing": (b"", "damaged"),
    "a list": (pickle.dumps([1, 2], 2), "damaged"),
    "another shape": (
        save(small().state_dict() | {"bn1.bias": torch.zeros(3)}),
        "should have shape (16,) and has (3,)",
    ),
    "CIFAR-100": (save(with_head(100)), "for 100 classes, and CIFAR-10 has 10"),
    "NaN": (save(NAN), "the tensor bn1.bias of my_net.pth has NaN or infinite values"),
    "unknown": (
        safetensors.torch.save({"a.b": torch.zeros(2)}),
        "no supported architecture has tensors with these names: a.b, …. Supported architectures: ",
    ),
    "negative variances": (
        save(small().state_dict() | {"bn1.running_var": torch.full((16,), -1.0)}),
        "the tensor bn1.running_var has negative values",
    ),
    "a zip that grows": (stored_compressed(save({"w": torch.zeros(10**6)})), "is a compressed zip archive"),
    "absurd": (save({"conv1.weight": torch.zeros(1).expand(10**9)}), "bytes; the limit is "),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_used_is_refused_in_words_and_nothing_is_kept(page, kind):
    content, words = REFUSED[kind]
    send(page, content)
    assert words in page.error[0].value
    assert "mine" not in page.session_state or not page.session_state["mine"]


def test_a_refused_file_costs_nothing_that_was_there(page):
    send(page, save(small().state_dict()))
    before = list(page.session_state["mine"])
    send(page, b"rubbish", "other.pt")
    assert page.error
    assert list(page.session_state["mine"]) == before


def resident_bytes() -> int:
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells a process how much memory it has")
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_two_hundred_damaged_uploads_leave_no_traceback_no_file_and_no_memory(page, no_images, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kinds = [kind for kind in upload.KINDS if kind != "bin"]
    send(page, damage(0), "first.pt")
    before = resident_bytes()
    refused = 0
    for seed in range(200):
        send(page, damage(seed), f"net{seed}.{kinds[seed % len(kinds)]}")
        assert bool(page.error) != bool(page.success)
        refused += bool(page.error)
    assert refused > 100
    assert len(page.session_state["mine"]) <= uploads.MOST_OF_ONE_SESSION
    assert not list(tmp_path.iterdir())
    assert resident_bytes() - before < 100_000_000


def test_a_file_name_is_shown_and_not_rendered(page):
    send(page, b"rubbish", "**bold** [link](http://nowhere) <b>x</b>.pt")
    assert "[link]" not in page.error[0].value
    assert "<b>" not in page.error[0].value


@pytest.mark.parametrize(
    ("file_name", "shown"),
    [
        ("resnet20_cifar_v2.pth", "resnet20_cifar_v2"),
        ("_my_net_.pth", "my_net"),
        ("__init__.pth", "init"),
        ("a**b** [c](d).pth", "a_b_c_d"),
        ("\u56fe.pth", "network"),
        ("x" * 300 + ".pth", "x" * 36),
    ],
)
def test_the_name_of_a_network_reads_in_markdown_as_it_is(file_name: str, shown: str) -> None:
    name, _, digest = upload._name(file_name, b"content").rpartition("-")
    assert name == shown
    assert len(digest) == 12
