"""Recognises files of other programs by their first bytes, and says how to get weights from them."""

import re
import zipfile
from io import BytesIO

SAVE = "torch.save(model.state_dict(), path)"

_TENSORFLOW = f"build the same network in PyTorch, copy the weights into it, and save it with {SAVE}"

_PYTORCH = f"load it with {{}} in Python, and save its weights with {SAVE}"

_SIGNATURES = (  # regular expression for the first bytes, what the file is, what to do
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes it", _TENSORFLOW),
    (rb".{4}TFL3", "a LiteRT (TFLite) file", _TENSORFLOW),
    (
        rb"\x08[\x01-\x20](\x12[\x00-\x60]|:)",  # the version, and then the producer or the graph
        "an ONNX file",
        f"save the weights of the network that was exported, with {SAVE}",
    ),
    (rb"\x93NUMPY", "an array of NumPy", f"save the network's weights with {SAVE}"),
    (rb"GGUF", "a GGUF file", f"save the network's weights with {SAVE}"),
    (rb"\x1f\x8b|BZh[1-9]|\xfd7zXZ\0|7z\xbc\xaf\x27\x1c", "a compressed file", "unpack it first"),
    (rb".{257}ustar", "a tar archive", "unpack it first"),
    (rb"version https://git-lfs", "a pointer of Git LFS to the file", "fetch the file itself with `git lfs pull`"),
    (rb"\s*(<!doctype html|<html)", "a web page", "download the file itself"),
)

_MEMBERS = (  # regular expression for a name in a zip archive, what the file is, what to do
    (r"(.*/)?(code/.*|constants\.pkl)", "a TorchScript file", _PYTORCH.format("torch.jit.load(path)")),
    (
        r"(.*/)?(archive_format|serialized_exported_program\.json|models/.*\.json)",
        "a program of torch.export",
        _PYTORCH.format("torch.export.load(path).module()"),
    ),
    (r"(.*/)?(model\.weights\.h5|config\.json)", "a Keras file", _TENSORFLOW),
    (r"[^/]*\.npy", "an archive of NumPy arrays", f"save the network's weights with {SAVE}"),
)

_QUANTIZED = (
    "quantized weights of torch.ao.quantization",
    "Save the weights before they are converted to integers, and quantize them here",
)

_SPARSE = (
    "sparse tensors",
    "Save {name: value.to_dense() for name, value in model.state_dict().items()} with torch.save",
)

_ARRAYS = "arrays of NumPy", "Save the weights as tensors, with torch.from_numpy(array) for each"

_FOREIGN = {  # a name in a pickle -> what the file holds, and what to do
    "torch._utils._rebuild_qtensor": _QUANTIZED,
    **{f"torch.{number}Storage": _QUANTIZED for number in ("QInt8", "QUInt8", "QInt32")},
    "torch._utils._rebuild_sparse_tensor": _SPARSE,
    "torch._utils._rebuild_sparse_csr_tensor": _SPARSE,
    "torch._utils._rebuild_tensor_v3": (
        "tensors of a type that torch.save does not write as plain tensors, such as float8",
        "Save {name: value.float() for name, value in model.state_dict().items()} with torch.save",
    ),
    "torch._utils._rebuild_meta_tensor_no_storage": (
        "tensors on the device “meta”, which have no numbers",
        "Save the weights after they are loaded",
    ),
    "numpy.core.multiarray._reconstruct": _ARRAYS,
    "numpy._core.multiarray._reconstruct": _ARRAYS,
}


def other_format(content: bytes) -> str | None:
    """Returns what the file is and what to do, as the end of a sentence that begins with its name.

    None if it may be a checkpoint, and if nothing is known of it.
    """
    if content.startswith(b"PK\x03\x04"):
        try:
            members = zipfile.ZipFile(BytesIO(content)).namelist()
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
            return None
        kinds = [words for name, *words in _MEMBERS if any(re.fullmatch(name, each, re.DOTALL) for each in members)]
    else:
        start = content[:512]
        kinds = [words for first, *words in _SIGNATURES if re.match(first, start, re.DOTALL | re.IGNORECASE)]
    return "is {}, not a checkpoint of PyTorch: {}".format(*kinds[0]) if kinds else None


def foreign_content(name: str) -> str | None:
    """Returns what a pickle that names the function `name` holds and what to do, as the end of a sentence, or None."""
    kind = _FOREIGN.get(name)
    return f"holds {kind[0]}, which cannot be read here. {kind[1]}" if kind else None
