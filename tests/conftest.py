"""What several test files share: networks, real data where this machine has it, and which process runs which test."""

import itertools
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from compression.data.cifar10 import TEST, TRAIN
from compression.data.images import ImageSet, load
from compression.engine.cluster import Engine, engine
from compression.errors import DataMissing
from compression.evaluation import normalization_trial
from compression.networks.architectures.resnet import ResNet
from compression.networks.bundled import load_bundled
from compression.networks.model import FloatModel, freeze_
from compression.results import landscape
from tests.support.hub import Hub

PROJECT = Path(__file__).parents[1]
PUBLIC_CHECKPOINT = PROJECT.parent / "shared" / "checkpoints" / "resnet20-12fca82f.th"

os.environ["SQUEEZELAB_RESULTS"] = tempfile.mkdtemp(prefix="squeezelab-tests-") + "/results.sqlite"
os.environ["SQUEEZELAB_NICE"] = "0"  # workers of the lowest priority would wait until no test computes

torch.set_num_threads(1)  # one process per core runs tests

sys.dont_write_bytecode = False  # else each of hundreds of processes compiles all tests and the package again
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Puts each test into the group that one process runs: browser, engine, or a group per file.

    So there is one server, one browser and one cluster of workers, and a fixture of a module is made once. In
    `pytest_collection_modifyitems` it would be too late: pytest-xdist reads the groups in that hook, and first.
    """
    item.add_marker(pytest.mark.xdist_group(_group(item)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the two groups first that take the longest. Both often wait, so pyproject.toml has a third process."""
    order = {"browser": 0, "engine": 1}
    items.sort(key=lambda item: order.get(_group(item), 2))


def _group(item: pytest.Item) -> str:
    if item.path.parent.name == "browser":
        return "browser"
    if item.path.parent.name == "commands" or "here" in getattr(item, "fixturenames", ()):
        return "engine"
    return item.path.stem


@pytest.fixture(scope="session")
def result_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Paths of files that do not exist yet, each in a folder that does not exist yet."""
    folder = tmp_path_factory.mktemp("results")
    return (folder / str(number) / "results.sqlite" for number in itertools.count())


@pytest.fixture(autouse=True)
def own_results(monkeypatch: pytest.MonkeyPatch, result_files: Iterator[Path]) -> None:
    """Gives each test a results file of its own, so that no test finds what another one has evaluated."""
    monkeypatch.setenv("SQUEEZELAB_RESULTS", str(next(result_files)))


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Untrained networks of a test have the same weights each time, whatever ran before it in this process."""
    torch.manual_seed(0)


@pytest.fixture
def nothing_beforehand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was measured of the bundled networks beforehand is not there."""
    monkeypatch.setattr(landscape, "FOLDER", tmp_path / "nothing")


@pytest.fixture(scope="session")
def test_images() -> ImageSet:
    """All 10,000 real test images."""
    try:
        return load(TEST)
    except DataMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def training_images() -> ImageSet:
    """All 50,000 real training images."""
    try:
        return load(TRAIN)
    except DataMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def public_checkpoint() -> Path:
    """Somebody else's ResNet-20, as it was published."""
    if not PUBLIC_CHECKPOINT.exists():
        pytest.skip(f"there is no public checkpoint {PUBLIC_CHECKPOINT.name} beside the project, in shared/checkpoints")
    return PUBLIC_CHECKPOINT


@pytest.fixture
def few_trial_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Normalisations are tried on 500 test images, not on thousands of training images, whoever asks for them."""
    monkeypatch.setattr(normalization_trial, "load", lambda *_: load()[:500])


@pytest.fixture(scope="session")
def torchvision() -> ModuleType:
    """The package torchvision. Its import takes seconds, which a module would take in every process that collects."""
    from tests.support.vision import torchvision

    return torchvision


@pytest.fixture(scope="session")
def simple_cnn() -> FloatModel:
    """A trained network; shared by all tests, which must leave it as it is."""
    return load_bundled("simple_cnn")


@pytest.fixture
def net() -> nn.Module:
    """conv (2, 1, 2, 2) -> batch norm -> linear (3, 2), with weights that one can follow on paper."""
    module = nn.Sequential()
    module.add_module("conv", nn.Conv2d(1, 2, 2))
    module.add_module("bn", nn.BatchNorm2d(2))
    module.add_module("fc", nn.Linear(2, 3))
    with torch.no_grad():
        module.conv.weight.copy_(torch.tensor([[[[-7.0, 0.4], [1.6, 0.0]]], [[[0.7, -0.1], [0.2, 0.3]]]]))
        module.fc.weight.copy_(torch.tensor([[5.0, -6.0], [0.5, -0.6], [3.0, 2.0]]))
    return module.eval()


@pytest.fixture(scope="session")
def random_resnet() -> nn.Module:
    """An untrained ResNet-20 with option B shortcuts; shared."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return freeze_(ResNet(3))


@pytest.fixture(scope="module")
def copied_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package alone, far from any data: what a stranger without CIFAR-10 has."""
    folder = tmp_path_factory.mktemp("copied") / "squeezelab"
    shutil.copytree(PROJECT / "compression", folder / "compression", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A server that runs as long as the test does."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    here = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here.answer(self)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield here
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a server that is not there."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.server_close()
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def room_for() -> Iterator[Callable[[int], None]]:
    """Limits the bytes that this process can write to one file, as a disk does that is nearly full."""
    resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda count: resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="session")
def here() -> Iterator[Engine]:
    """The engine of this process: two workers or as many as there are cores, started when they are first needed."""
    yield engine()
    engine().close()


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Whoever runs the tests, as a user whom permissions hold back."""
    if not hasattr(os, "seteuid"):
        pytest.skip("this system has no user ids")
    before = os.geteuid()
    try:
        os.seteuid(before or 65534)
    except OSError as error:
        pytest.skip(f"root cannot become nobody here: {error.strerror}")
    yield
    os.seteuid(before)
