"""Public networks: our modules match the published ones; files are fetched once, verified and resumed."""

import hashlib
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import torch

from compression.data.cifar10 import TEST
from compression.errors import CheckpointError, DataError
from compression.library import catalog
from compression.library.recovered import recovered_names
from compression.networks import public
from compression.networks.architectures.table import ARCHITECTURES
from compression.networks.bundled import bundled_names, load_bundled
from compression.networks.checkpoints.reading import read_tensors
from compression.networks.checkpoints.recognition import recognise
from compression.networks.macs import layer_macs
from compression.networks.model import freeze_
from compression.networks.normalization import NORMALIZATIONS
from compression.networks.public import PUBLIC, PublicModel
from tests.support.hub import Hub, files
from tests.support.networks import save

PUBLISHED = {  # millions of parameters and of multiply-accumulates, from the README of pytorch-cifar-models
    "resnet20": (0.27, 40.81),
    "resnet32": (0.47, 69.12),
    "resnet44": (0.66, 97.44),
    "resnet56": (0.86, 125.75),
    "vgg11_bn": (9.76, 153.29),
    "vgg13_bn": (9.94, 228.79),
    "vgg16_bn": (15.25, 313.73),
    "vgg19_bn": (20.57, 398.66),
    "mobilenetv2_x0_5": (0.70, 27.97),
    "mobilenetv2_x0_75": (1.37, 59.31),
    "mobilenetv2_x1_0": (2.24, 87.98),
    "mobilenetv2_x1_4": (4.33, 170.07),
    "shufflenetv2_x0_5": (0.35, 10.90),
    "shufflenetv2_x1_0": (1.26, 45.00),
    "shufflenetv2_x1_5": (2.49, 94.26),
    "shufflenetv2_x2_0": (5.37, 187.81),
    "repvgg_a0": (7.84, 489.08),
    "repvgg_a1": (12.82, 851.33),
    "repvgg_a2": (26.82, 1850.10),
}
ROUNDED = 0.005 + 1e-4  # 1850.095 is given as 1850.10
NAME = "cifar10_made_up"
each_public = pytest.mark.parametrize("name", PUBLIC)


CONTENT = save(ARCHITECTURES["resnet20"].make().state_dict())


def publish(content: bytes, monkeypatch: pytest.MonkeyPatch) -> PublicModel:
    """Adds a network to the table, whose file has this content and a name with its digest, as in torch.hub."""
    digits = hashlib.sha256(content).hexdigest()[:8]
    model = PublicModel(NAME, "resnet20", "resnet", f"{NAME}-{digits}.pt", 0.5)
    monkeypatch.setitem(PUBLIC, NAME, model)
    return model


@pytest.fixture
def made_up(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> PublicModel:
    """A network with random weights, published on the hub."""
    hub.content = CONTENT
    return publish(CONTENT, monkeypatch)


# ---- what was published


def test_the_table_is_the_published_one() -> None:
    assert list(PUBLIC) == [f"cifar10_{arch}" for arch in PUBLISHED]
    assert all(model.name == name and name == f"cifar10_{model.arch}" for name, model in PUBLIC.items())
    assert all(0.9 < model.accuracy < 0.95 for model in PUBLIC.values())
    assert not set(PUBLIC) & set(bundled_names())


def test_a_file_lies_in_the_release_of_its_family() -> None:
    assert PUBLIC["cifar10_shufflenetv2_x0_5"].url() == (
        "https://github.com/chenyaofo/pytorch-cifar-models/releases/download/"
        "shufflenetv2/cifar10_shufflenetv2_x0_5-1308b4e9.pt"
    )
    assert all(model.arch.startswith(model.family) for model in PUBLIC.values())


@each_public
def test_a_file_has_the_digits_in_its_name_where_torch_hub_looks_for_them(name: str) -> None:
    model = PUBLIC[name]
    match = torch.hub.HASH_REGEX.search(model.file)
    assert match is not None
    assert (match[1], len(match[1])) == (model.digits, 8)


@each_public
def test_our_module_is_as_large_as_published(name: str) -> None:
    module = freeze_(ARCHITECTURES[PUBLIC[name].arch].make())
    parameters, macs = PUBLISHED[PUBLIC[name].arch]
    assert sum(p.numel() for p in module.parameters()) / 1e6 == pytest.approx(parameters, abs=ROUNDED)
    assert sum(layer_macs(module, torch.zeros(1, *TEST.shape)).values()) / 1e6 == pytest.approx(macs, abs=ROUNDED)
    assert sum(value.nbytes for value in module.state_dict().values()) < 0.95 * public.MAX_PUBLIC_BYTES


@each_public
def test_weights_are_recognised_as_the_stated_architecture_and_no_other(name: str) -> None:
    architecture = ARCHITECTURES[PUBLIC[name].arch]
    tensors = architecture.make().state_dict()
    assert set(architecture.landmarks) <= set(tensors)
    assert recognise(tensors).architecture == architecture


# ---- fetched and loaded


def test_a_fetched_network_has_the_published_weights(hub: Hub, made_up: PublicModel, tmp_path: Path) -> None:
    path = public.fetch_public(NAME, data=tmp_path, releases=hub.url)
    assert path == public.path_of(NAME, tmp_path) == tmp_path / "models" / made_up.file
    assert path.read_bytes() == CONTENT
    assert hub.paths == [f"/resnet/{made_up.file}"]
    assert files(tmp_path) == [made_up.file]
    model = public.load_public(NAME, tmp_path)
    state = model.module.state_dict()
    assert all(torch.equal(state[key], value) for key, value in torch.load(path, weights_only=True).items())
    assert not model.module.training


def test_a_loaded_network_says_where_it_comes_from(hub: Hub, made_up: PublicModel, tmp_path: Path) -> None:
    public.fetch_public(NAME, data=tmp_path, releases=hub.url)
    model = catalog.load_network(NAME, tmp_path)
    assert (model.name, model.accuracy) == (NAME, 0.5)
    assert model.normalization == NORMALIZATIONS["cifar10-small-std"]
    assert model.about == {
        "origin": f"{public.RELEASES}/resnet/{made_up.file}",
        "licence": "BSD 3-Clause",
        "arch": "resnet20",
        "recognised": "ResNet-20 with shortcuts of 1x1 convolutions (option B), 272,474 parameters",
    }


def test_a_fetched_network_is_listed_beside_the_bundled_ones(hub: Hub, made_up: PublicModel, tmp_path: Path) -> None:
    gallery = recovered_names(tmp_path)
    assert (public.fetched_names(tmp_path), catalog.network_names(tmp_path)) == ([], [*bundled_names(), *gallery])
    public.fetch_public(NAME, data=tmp_path, releases=hub.url)
    assert public.fetched_names(tmp_path) == [NAME]
    assert catalog.network_names(tmp_path) == [*bundled_names(), NAME, *gallery]


def test_the_library_has_the_bundled_networks_too(tmp_path: Path) -> None:
    assert catalog.load_network("simple_cnn", tmp_path).about == load_bundled("simple_cnn").about


def test_a_fetched_network_is_not_fetched_again(hub: Hub, made_up: PublicModel, tmp_path: Path) -> None:
    for _ in range(2):
        public.fetch_public(NAME, data=tmp_path, releases=hub.url)
    assert len(hub.requests) == 1


def test_progress_runs_from_nothing_to_all(hub: Hub, made_up: PublicModel, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    public.fetch_public(NAME, lambda *progress: told.append(progress), tmp_path, hub.url)
    assert told == sorted(told)
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert {total for _, total in told} == {len(CONTENT)}


def test_a_connection_that_is_cut_is_resumed_where_it_broke(hub: Hub, made_up: PublicModel, tmp_path: Path) -> None:
    hub.cut_after = 100_000
    with pytest.raises(DataError, match=f"closed after 100,000 of {len(CONTENT):,} bytes.*continues from there"):
        public.fetch_public(NAME, data=tmp_path, releases=hub.url)
    assert public.fetched_names(tmp_path) == []
    hub.cut_after = None
    assert public.fetch_public(NAME, data=tmp_path, releases=hub.url).read_bytes() == CONTENT
    assert hub.requests == [None, "bytes=100000-"]
    assert files(tmp_path) == [made_up.file]


@pytest.mark.parametrize("before", [None, b"damaged"], ids=["nothing there", "damaged"])
def test_two_threads_fetch_a_file_once(before: bytes | None, hub: Hub, made_up: PublicModel, tmp_path: Path) -> None:
    if before:
        public.path_of(NAME, tmp_path).parent.mkdir()
        public.path_of(NAME, tmp_path).write_bytes(before)
    answer, go = hub.answer, threading.Event()

    def late(handler: BaseHTTPRequestHandler) -> None:
        go.wait(5)
        answer(handler)

    hub.answer = late  # type: ignore[method-assign]
    contents: list[bytes] = []
    fetch = lambda: contents.append(public.fetch_public(NAME, data=tmp_path, releases=hub.url).read_bytes())
    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)  # both are on their way
    go.set()
    for thread in threads:
        thread.join()
    assert contents == [CONTENT, CONTENT]
    assert len(hub.requests) == 1


def test_a_slow_file_does_not_keep_others_waiting(
    hub: Hub, made_up: PublicModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = PublicModel("cifar10_other", "resnet20", "other", f"cifar10_other-{made_up.digits}.pt", 0.5)
    monkeypatch.setitem(PUBLIC, other.name, other)
    answer, go = hub.answer, threading.Event()

    def late(handler: BaseHTTPRequestHandler) -> None:
        if handler.path.startswith("/resnet/"):
            go.wait(5)
        answer(handler)

    hub.answer = late  # type: ignore[method-assign]
    slow = threading.Thread(target=lambda: public.fetch_public(NAME, data=tmp_path, releases=hub.url))
    slow.start()
    public.fetch_public(other.name, data=tmp_path, releases=hub.url)
    assert public.fetched_names(tmp_path) == [other.name]
    go.set()
    slow.join()
    assert public.fetched_names(tmp_path) == [NAME, other.name]


# ---- failures are reported and leave no damaged files


def test_wrong_content_is_reported_and_deleted(hub: Hub, made_up: PublicModel, tmp_path: Path) -> None:
    hub.content = CONTENT[:-1] + b"x"
    digest = hashlib.sha256(hub.content).hexdigest()[:8]
    words = rf"did not send the published file: its SHA-256 should begin with {made_up.digits} and begins with {digest}"
    with pytest.raises(DataError, match=words):
        public.fetch_public(NAME, data=tmp_path, releases=hub.url)
    assert files(tmp_path) == []


@pytest.mark.parametrize(("status", "words"), [(404, "answers 404 Not Found"), (503, "answers 503")])
def test_an_error_status_of_the_hub_is_reported(
    status: int, words: str, hub: Hub, made_up: PublicModel, tmp_path: Path
) -> None:
    hub.status = status
    with pytest.raises(DataError, match=words):
        public.fetch_public(NAME, data=tmp_path, releases=hub.url)
    assert files(tmp_path) == []


def test_a_missing_hub_is_reported(nobody: str, made_up: PublicModel, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be reached \(Connection refused\)"):
        public.fetch_public(NAME, data=tmp_path, releases=nobody)
    assert files(tmp_path) == []


def test_a_missing_network_connection_is_reported(made_up: PublicModel, tmp_path: Path, offline: None) -> None:
    with pytest.raises(DataError, match=r"cannot be reached \(no network, or its name is unknown\)"):
        public.fetch_public(NAME, data=tmp_path, releases="https://nowhere.invalid")


def test_a_file_too_large_for_the_disk_leaves_nothing(
    hub: Hub, made_up: PublicModel, tmp_path: Path, room_for: Callable[[int], None]
) -> None:
    room_for(len(CONTENT) // 2)
    with pytest.raises(DataError, match=r"cannot write .*\.partial: File too large"):
        public.fetch_public(NAME, data=tmp_path, releases=hub.url)
    room_for(10 * len(CONTENT))
    assert files(tmp_path) == []


def test_a_folder_in_the_place_of_the_checkpoint_is_reported(hub: Hub, made_up: PublicModel, tmp_path: Path) -> None:
    public.path_of(NAME, tmp_path).mkdir(parents=True)
    with pytest.raises(DataError, match=r"cannot write .*cifar10_made_up.*\.pt: Is a directory"):
        public.fetch_public(NAME, data=tmp_path, releases=hub.url)
    assert public.fetched_names(tmp_path) == []


def test_a_file_that_was_damaged_is_refused_and_can_be_fetched_again(
    hub: Hub, made_up: PublicModel, tmp_path: Path
) -> None:
    path = public.fetch_public(NAME, data=tmp_path, releases=hub.url)
    path.write_bytes(CONTENT[:500_000] + bytes([CONTENT[500_000] ^ 1]) + CONTENT[500_001:])
    with pytest.raises(DataError, match=rf"is damaged: .* fetch it again with `python -m .* models --fetch {NAME}`"):
        catalog.load_network(NAME, tmp_path)
    assert public.fetched_names(tmp_path) == []
    public.fetch_public(NAME, data=tmp_path, releases=hub.url)
    assert catalog.load_network(NAME, tmp_path).parameters == 272_474
    assert public.fetched_names(tmp_path) == [NAME]


@pytest.mark.parametrize(
    ("arch", "words"),
    [
        ("resnet32", "is not a resnet20: it has unknown layer1.3"),
        ("resnet20-a", "should be a resnet20 and is a resnet20-a"),
    ],
)
def test_another_network_than_the_stated_one_is_refused(
    arch: str, words: str, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.content = save(ARCHITECTURES[arch].make().state_dict())
    publish(hub.content, monkeypatch)
    public.fetch_public(NAME, data=tmp_path, releases=hub.url)
    with pytest.raises(CheckpointError, match=words):
        catalog.load_network(NAME, tmp_path)


def test_a_network_that_is_not_fetched_is_refused_with_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"not fetched yet; .* `python -m compression models --fetch cifar10_vgg16_bn`"
    ):
        catalog.load_network("cifar10_vgg16_bn", tmp_path)


@pytest.mark.parametrize("name", ["cifar10_resnet21", "../models/cifar10_resnet20", ""])
def test_an_unknown_network_is_refused_and_the_others_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"there is no network .*; there are .*simple_cnn.* `python -m compression models`"
    ):
        catalog.load_network(name, tmp_path)
    for refuses in (public.fetch_public, public.load_public, public.path_of):
        with pytest.raises(ValueError, match=r"there is no public network .*; there are cifar10_resnet20, "):
            refuses(name)


def test_a_file_larger_than_it_may_be_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(CONTENT)
    assert read_tensors(tmp_path / "net.pt", max_bytes=len(CONTENT))
    for source in (tmp_path / "net.pt", CONTENT):
        with pytest.raises(CheckpointError, match=f"the limit is {len(CONTENT) - 1:,}$"):
            read_tensors(source, max_bytes=len(CONTENT) - 1)


# ---- whether the releases can be reached


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes all look-ups of host names fail."""

    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_a_host_that_answers_is_reachable(hub: Hub) -> None:
    hub.content = b"welcome"
    assert public.why_unreachable(5, f"{hub.url}/releases/download") is None
    assert hub.paths == ["/"]


def test_a_host_that_answers_with_an_error_is_not_reachable(hub: Hub) -> None:
    hub.status = 503
    assert public.why_unreachable(5, hub.url) == "127.0.0.1 answers 503 Service Unavailable"


def test_a_host_that_does_not_exist_is_not_reachable(nobody: str) -> None:
    assert public.why_unreachable(5, nobody) == "127.0.0.1 cannot be reached (Connection refused)"


def test_github_is_not_reachable_without_a_network_connection(offline: None) -> None:
    assert public.why_unreachable(5) == "github.com cannot be reached (no network, or its name is unknown)"


def test_a_silent_host_is_not_reachable_after_the_timeout(hub: Hub) -> None:
    over = threading.Event()
    hub.answer = lambda handler: over.wait(5) and None  # type: ignore[method-assign]
    start = time.monotonic()
    assert public.why_unreachable(0.2, hub.url) == "127.0.0.1 cannot be reached (it does not answer)"
    assert time.monotonic() - start < 2
    over.set()


def test_an_endless_name_lookup_ends_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeout of a socket does not apply to the look-up of a host's address."""
    over = threading.Event()
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(5) and [])
    start = time.monotonic()
    assert public.why_unreachable(0.2) == "github.com cannot be reached (it does not answer)"
    assert time.monotonic() - start < 2
    over.set()
