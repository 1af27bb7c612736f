"""CIFAR-10: its classes, the shape of its images, and its two splits."""

from functools import partial

from compression.data.split import Split

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

SHAPE = (3, 32, 32)

_split = partial(Split, dataset="CIFAR-10", classes=CLASSES, shape=SHAPE)

TEST = _split(
    name="test",
    images=10_000,
    fingerprint="c601bf85e16d3df5ce4a9a274bdaa4475e7a92eb0939ca63c602ccc780548819",
    download="test-00000-of-00001.parquet",
)

TRAIN = _split(
    name="train",
    images=50_000,
    fingerprint="e47348e92e1b30ac0f7c8442987cf05d07f7556eaf7a09b8fae52543df7266c6",
    download="train-00000-of-00001.parquet",
)

SPLITS = {split.name: split for split in (TEST, TRAIN)}
