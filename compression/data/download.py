"""Downloads the files of CIFAR-10."""

from pathlib import Path

from compression.data.fetching import Progress, fetch
from compression.data.sources import read_parquet
from compression.data.split import Split, in_canonical_order, verify
from compression.paths import DATA

HUB = "https://huggingface.co/datasets/uoft-cs/cifar10/resolve/main/plain_text"


def download(split: Split, data: Path = DATA, progress: Progress | None = None, hub: str = HUB) -> Path:
    """Downloads the Parquet file of `split` into `data/cifar10/plain_text`, verifies it and returns its path.

    Resumes and reports progress as `fetch` does. Raises DataError, with the reason, if anything goes wrong.
    """
    url = f"{hub}/{split.download}"

    def check(file: Path) -> None:
        verify(in_canonical_order(read_parquet((file,), split)), split, f"what {url} sent")

    return fetch(url, data / "cifar10" / "plain_text" / split.download, check, progress)
