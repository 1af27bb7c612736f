"""Reads a packed file that anybody may have made as a network that is compressed already.

`packed_file.load_compressed` reads files of this package: its checksums reveal damage, and whoever writes a file can
compute them. So the header is checked here before anything is decoded, and the numbers after it.
"""

import math
from collections.abc import Mapping

from compression.errors import CheckpointError
from compression.files.packed_file import FORMAT_KEY
from compression.files.packed_reader import read_packed
from compression.files.stored import StoredNetwork
from compression.networks.architectures.table import find_architecture
from compression.quantization.activations import InputQuantizer
from compression.spec.checks import MAX_BITS


def is_packed(metadata: Mapping[str, str]) -> bool:
    """Whether a safetensors file with this metadata is a packed file, of this format or of another one."""
    return FORMAT_KEY in metadata


def load_exported(content: bytes, file_name: str, name: str) -> StoredNetwork:
    """Returns the network called `name` in a packed file. Its float weights have the values of their codes.

    The input quantizers of the file belong to the network. Its `about` says so, with `packed` and `folded`.
    Raises CheckpointError if the file is damaged, is no packed file or is too large.
    """
    model = read_packed(content, file_name)
    header = model.about
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
    return StoredNetwork(
        name, model.module, model.normalization, None, about, model.input_shape, model.classes, content
    )


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
