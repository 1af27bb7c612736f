"""The size of a compressed bundled network, as every page must show it."""

from compression.core.record import CompressedModel
from compression.files.packed_file import to_bytes
from compression.networks.bundled import load_bundled


def file_bytes(compressed: CompressedModel) -> int:
    """The length of the packed file, which is made for that."""
    return len(to_bytes(compressed, load_bundled(compressed.spec.model)))
