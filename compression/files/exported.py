"""Reads a packed file that anybody may have made as a network to compress, like a checkpoint.

`packed_file.load_compressed` reads files of this package: its checksums reveal damage, and whoever writes a file can
compute them. So the header is checked here before anything is decoded, and the numbers after it.
"""

import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from compression.errors import CheckpointError
from compression.files.codings import MOST_SYMBOLS, Coding
from compression.files.packed_file import ABOUT, CHECKSUM, load_compressed
from compression.networks.architectures.table import find_architecture
from compression.networks.checkpoints.reading import MAX_BYTES, read_checkpoint
from compression.networks.model import FloatModel
from compression.quantization.activations import InputQuantizer
from compression.spec.checks import MAX_BITS

MOST_CODES = 1 << 20

MOST_OF_A_GROUP = 64  # m in n:m

MODEL_BYTES = 5 * (MOST_SYMBOLS + 2)  # at most five bytes for each frequency


def is_packed(metadata: Mapping[str, str]) -> bool:
    """Whether a safetensors file with this metadata is a packed file."""
    return {ABOUT, CHECKSUM} <= metadata.keys()


def load_exported(content: bytes, file_name: str, name: str) -> FloatModel:
    """Returns the network called `name` in a packed file, as float weights that have the values of their codes.

    The input quantizers of the file belong to the network. Its `about` says so, with `packed` and `folded`.
    Raises CheckpointError if the file is damaged, is no packed file or is too large, or if the disk is full.
    """
    file = read_checkpoint(content, file_name)
    try:
        header = json.loads(file.metadata[ABOUT])
        for layer in header["layers"].values():
            _check_layer(layer)
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file_name} is damaged or is not a packed file ({str(error)[:200]})") from None
    try:
        with tempfile.TemporaryDirectory() as folder:  # load_compressed reads from a disk
            path = Path(folder) / "the file"
            path.write_bytes(content)
            model = load_compressed(path)
    except OSError as error:
        raise CheckpointError(
            f"{file_name} cannot be decoded here, which takes a temporary file: {error.strerror}"
        ) from None
    quantizers = [hook for part in model.module.modules() for hook in part._forward_pre_hooks.values()]
    if not all(isinstance(each, InputQuantizer) and _is_possible(each) for each in quantizers):
        raise CheckpointError(f"{file_name} has quantizers of layer inputs that no network can have")
    if not all(value.isfinite().all() for value in model.module.state_dict().values()):
        raise CheckpointError(f"{file_name} decodes to weights that are NaN or infinite")
    folded = bool(header["spec"]["fold_bn"])
    parts = (
        f"{find_architecture(header['arch']).description}, {model.parameters:,} parameters",
        "a packed file, decoded and verified",
        *(("batch norm is folded",) if folded else ()),
        *((f"the inputs of {len(quantizers)} layers are quantized",) if quantizers else ()),
    )
    about = {
        "origin": file_name,
        "arch": header["arch"],
        "recognised": "; ".join(parts),
        "packed": True,
        "folded": folded,
    }
    return replace(model, name=name, about=about)


def _check_layer(header: dict[str, Any]) -> None:
    """Raises ValueError if decoding a weight with this header could take much more time or memory than its bytes."""
    alphabet, lengths = header["alphabet"], header["lengths"]
    most = MOST_SYMBOLS if header["coding"] == Coding.ENTROPY else MOST_CODES
    if not (isinstance(alphabet, int) and 1 <= alphabet <= most):
        raise ValueError(f"a layer must have 1 to {most:,} codes, got {alphabet}")
    if len(lengths) != 4 or not all(isinstance(length, int) and 0 <= length <= MAX_BYTES for length in lengths):
        raise ValueError(f"a layer must have four lengths, got {lengths}")
    if lengths[2] > MODEL_BYTES:
        raise ValueError(f"the frequencies of a layer take at most {MODEL_BYTES:,} bytes, got {lengths[2]:,}")
    if pattern := header.get("pattern"):
        n, m = pattern
        if not 0 < n <= m <= MOST_OF_A_GROUP:
            raise ValueError(f"a pattern must be n:m with 0 < n <= m <= {MOST_OF_A_GROUP}, got {n}:{m}")


def _is_possible(quantizer: InputQuantizer) -> bool:
    numbers = (quantizer.bits, quantizer.zero_point)
    return (
        all(type(number) is int for number in numbers)
        and isinstance(quantizer.scale, float)
        and 1 <= quantizer.bits <= MAX_BITS
        and 0 <= quantizer.zero_point < 2**quantizer.bits
        and math.isfinite(quantizer.scale)
        and quantizer.scale > 0
    )
