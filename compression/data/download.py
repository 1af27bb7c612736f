"""Fetching CIFAR-10's own files."""

from pathlib import Path

from compression.data.cifar10 import Split, canonical, verify
from compression.data.fetching import Progress, fetch
from compression.data.sources import read_parquet
from compression.paths import DATA

HUB = "https://huggingface.co/datasets/uoft-cs/cifar10/resolve/main/plain_text"


def download(split: Split, data: Path = DATA, progress: Progress | None = None, hub: str = HUB) -> Path:
    """Fetches the Parquet file of `split` into `data/cifar10/plain_text` and verifies it, as `fetch` does.

    Raises DataError, in words, for whatever goes wrong.
    """
    url = f"{hub}/{split.download}"

    def check(file: Path) -> None:
        verify(canonical(read_parquet((file,))), split, f"what {url} sent")

    return fetch(url, data / "cifar10" / "plain_text" / split.download, check, progress)
