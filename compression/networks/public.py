"""The CIFAR-10 networks of https://github.com/chenyaofo/pytorch-cifar-models: fetched on request, verified and stored.

Only weights are fetched, for architectures of this package; no code of that project runs. By torch.hub's convention,
the eight hex digits in a file's name are the beginning of its SHA-256: enough to detect damage, but no protection
against forgery. Architectures, accuracies and files are those of its README. Its training logs state the normalisation,
and that each network is the best of 200 epochs as judged by the test images themselves.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from compression.data import fetching
from compression.data.fetching import Progress
from compression.errors import CheckpointError, DataError
from compression.networks.checkpoints.reading import read_tensors
from compression.networks.checkpoints.recognition import recognise
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.paths import DATA

RELEASES = "https://github.com/chenyaofo/pytorch-cifar-models/releases/download"

MAX_PUBLIC_BYTES = 120_000_000


@dataclass(frozen=True)
class PublicModel:
    """A published network: its `name` in torch.hub, its `arch` in ARCHITECTURES, its `file` in the release `family`.

    `accuracy` (0..1) is the published one, on all 10,000 test images.
    """

    name: str
    arch: str
    family: str
    file: str
    accuracy: float
    normalization: str = "cifar10-small-std"
    licence: str = "BSD 3-Clause"

    @property
    def digits(self) -> str:
        """The first eight hex digits of the file's SHA-256."""
        return self.file.rpartition("-")[2].partition(".")[0]

    def url(self, releases: str = RELEASES) -> str:
        return f"{releases}/{self.family}/{self.file}"


_PUBLISHED = {  # family: architectures, each with the first digits of its file's SHA-256 and its accuracy
    "resnet": {
        "resnet20": ("4118986f", 0.9260),
        "resnet32": ("ef93fc4d", 0.9353),
        "resnet44": ("2a3cabcb", 0.9401),
        "resnet56": ("187c023a", 0.9437),
    },
    "vgg": {
        "vgg11_bn": ("eaeebf42", 0.9279),
        "vgg13_bn": ("c01e4a43", 0.9400),
        "vgg16_bn": ("6ee7ea24", 0.9416),
        "vgg19_bn": ("57191229", 0.9391),
    },
    "mobilenetv2": {
        "mobilenetv2_x0_5": ("ca14ced9", 0.9288),
        "mobilenetv2_x0_75": ("a53c314e", 0.9372),
        "mobilenetv2_x1_0": ("fe6a5b48", 0.9379),
        "mobilenetv2_x1_4": ("3bbbd6e2", 0.9422),
    },
    "shufflenetv2": {
        "shufflenetv2_x0_5": ("1308b4e9", 0.9013),
        "shufflenetv2_x1_0": ("98807be3", 0.9298),
        "shufflenetv2_x1_5": ("296694dd", 0.9355),
        "shufflenetv2_x2_0": ("ec31611c", 0.9381),
    },
    "repvgg": {
        "repvgg_a0": ("ef08a50e", 0.9439),
        "repvgg_a1": ("38d2431b", 0.9489),
        "repvgg_a2": ("09488915", 0.9498),
    },
}

PUBLIC = {
    f"cifar10_{arch}": PublicModel(f"cifar10_{arch}", arch, family, f"cifar10_{arch}-{digits}.pt", accuracy)
    for family, architectures in _PUBLISHED.items()
    for arch, (digits, accuracy) in architectures.items()
}


def path_of(name: str, data: Path = DATA) -> Path:
    """Returns the path of a public network's file, fetched or not. Raises ValueError if there is no such network."""
    if name not in PUBLIC:
        raise ValueError(f"there is no public network {name!r}; there are {', '.join(PUBLIC)}")
    return data / "models" / PUBLIC[name].file


def fetched_names(data: Path = DATA) -> list[str]:
    """Returns the names of the public networks whose files are fetched and undamaged."""
    return [name for name in PUBLIC if _is_whole(name, data)]


def fetch_public(name: str, progress: Progress | None = None, data: Path = DATA, releases: str = RELEASES) -> Path:
    """Fetches a public network unless it is fetched and undamaged; returns the path of its file.

    Calls `progress(bytes so far, bytes in total)` as the file grows; `fetching.fetch` describes how transfers resume.
    Raises ValueError if `name` is not a public network, DataError if fetching fails.
    """
    path = path_of(name, data)
    if _is_whole(name, data):
        return path
    model = PUBLIC[name]
    url = model.url(releases)

    def check(file: Path) -> None:
        if (actual := _digits(file)) != model.digits:
            raise DataError(
                f"{url} did not send the published file: its SHA-256 should begin with {model.digits} "
                f"and begins with {actual}. The file was deleted; try again"
            )

    return fetching.fetch(url, path, check, progress)


def load_public(name: str, data: Path = DATA) -> FloatModel:
    """Returns a fetched public network; its file is verified again.

    Raises ValueError if it is not fetched or not public, DataError if the file is damaged, CheckpointError if the file
    holds another architecture than stated.
    """
    path, model = path_of(name, data), PUBLIC[name]
    if not path.is_file():
        raise ValueError(f"{name} is not fetched yet; fetch it with `{fetch_command(name)}`")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_PUBLIC_BYTES)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if not hashlib.sha256(content).hexdigest().startswith(model.digits):
        raise DataError(
            f"{path} is damaged: it differs from the published file; fetch it again with `{fetch_command(name)}`"
        )
    recognised = recognise(read_tensors(content, model.file, MAX_PUBLIC_BYTES), model.arch)
    if recognised.architecture.name != model.arch:
        raise CheckpointError(f"{model.file} should be a {model.arch} and is a {recognised.architecture.name}")
    about = {
        "origin": model.url(),
        "licence": model.licence,
        "arch": model.arch,
        "recognised": recognised.description,
    }
    return FloatModel(name, recognised.module, NORMALIZATIONS[model.normalization], model.accuracy, about)


def fetch_command(name: str) -> str:
    """Returns the command that fetches a public network."""
    return f"python -m compression models --fetch {name}"


def why_unreachable(timeout_seconds: float, releases: str = RELEASES) -> str | None:
    """Returns why public networks cannot be fetched now, or None if they can. Takes at most `timeout_seconds`."""
    return fetching.unreachable(releases, timeout_seconds)


def _is_whole(name: str, data: Path) -> bool:
    path = path_of(name, data)
    stamp = fetching.stamp(path)
    try:
        return stamp is not None and _remembered_digits(path, stamp) == PUBLIC[name].digits
    except OSError:
        return False


@lru_cache(maxsize=256)
def _remembered_digits(path: Path, stamp: tuple[int, int, int]) -> str:
    """Returns `_digits(path)`, cached until the file's `stamp` changes."""
    return _digits(path)


def _digits(path: Path) -> str:
    """Returns the first eight hex digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]
