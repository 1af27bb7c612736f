"""The size of a compressed bundled network, as every page must show it."""

import re

from compression.core.record import CompressedModel
from compression.files.ledger import count_file
from compression.files.packed_file import to_bytes
from compression.networks.bundled import load_bundled
from pages.ui import wording


def file_bytes(compressed: CompressedModel) -> int:
    """The length of the packed file, which is made for that."""
    return len(to_bytes(compressed, load_bundled(compressed.spec.model)))


def size_texts(compressed: CompressedModel) -> tuple[str, str]:
    """What a page shows: the exact size, or the estimate until workers have counted it."""
    estimate = count_file(compressed, load_bundled(compressed.spec.model), quick=True).total
    return wording.size(file_bytes(compressed)), f"≈ {wording.size(estimate)}"


def size_pattern(compressed: CompressedModel) -> re.Pattern[str]:
    """What `size_texts` are, for a browser."""
    return re.compile("|".join(map(re.escape, size_texts(compressed))))
