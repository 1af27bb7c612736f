"""Where networks and images come from: by name, from a checkpoint, from CIFAR-10."""

from dataclasses import replace
from os import PathLike
from pathlib import Path

from compression.data.cifar10 import SPLITS
from compression.data.images import ImageSet
from compression.data.images import load as load_split
from compression.evaluation import normalization_trial
from compression.files import exported
from compression.library import catalog
from compression.networks.checkpoints.reading import read_metadata
from compression.networks.model import FloatModel, with_contiguous_weights
from compression.networks.normalization import Normalization


def names() -> list[str]:
    """Returns the names of the networks that `load` accepts: the bundled ones, then the public ones that are here.

    >>> import compression as sq
    >>> "resnet20" in sq.names()
    True
    """
    return catalog.network_names()


def load(name: str) -> FloatModel:
    """Returns the trained float network called `name`, with its input normalization and its published accuracy.

    Raises ValueError for an unknown name, CheckpointError for a damaged file.

    >>> import compression as sq
    >>> net = sq.load("resnet20")
    >>> net.parameters, net.normalization.name, net.accuracy
    (272474, 'cifar10', 0.9241)
    """
    return with_contiguous_weights(catalog.load_network(name))


def load_checkpoint(
    path: str | PathLike[str],
    normalization: Normalization | ImageSet,
    architecture: str | None = None,
    entry: str | None = None,
) -> FloatModel:
    """Returns the network in a checkpoint file of PyTorch or safetensors; its architecture is recognized.

    With images instead of a `normalization`, each known normalization is tried on them and the one with the lowest loss
    is used; `about["choice"]` says whether it is certain and which one comes next. Training images find it better, and
    are not counted afterwards. `entry` is the place of the weights in the file, such as "model_ema", or a prefix of
    their names; without it the likeliest is taken. A file of `save` states its normalization. No code in the file is
    run. Raises CheckpointError where the file cannot be used, with the reason.

    >>> import tempfile, torch
    >>> import compression as sq
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save(sq.load("resnet20").module.state_dict(), f"{folder}/mine.pth")
    ...     net = sq.load_checkpoint(f"{folder}/mine.pth", sq.NORMALIZATIONS["cifar10"])
    >>> net.name, net.parameters
    ('mine', 272474)
    """
    path = Path(path)
    if exported.is_packed(read_metadata(path)):
        model = exported.load_exported(path.read_bytes(), str(path), path.stem)
        return with_contiguous_weights(
            model if isinstance(normalization, ImageSet) else replace(model, normalization=normalization)
        )
    return with_contiguous_weights(normalization_trial.load_checkpoint(path, normalization, architecture, entry))


def load_images(split: str = "test") -> ImageSet:
    """Returns the 10,000 "test" images of CIFAR-10 with their labels, or the 50,000 "train" images.

    Raises DataError where they are missing or damaged, with the command that downloads them.

    >>> import compression as sq
    >>> images = sq.load_images()
    >>> len(images), tuple(images.pixels.shape), tuple(images[:100].labels.shape)
    (10000, (10000, 3, 32, 32), (100,))
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    return load_split(SPLITS[split])
