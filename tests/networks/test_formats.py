"""Files of other programs are named, with the sentence that says how to get weights from them."""

import io
import pickle
import zipfile

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from compression.errors import CheckpointError
from compression.networks.checkpoints.formats import other_format
from compression.networks.checkpoints.reading import read_tensors
from tests.support.networks import KINDS, tensors


def onnx_file(producer: str) -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "graph", ends[:1], ends[1:])
    return helper.make_model(graph, producer_name=producer).SerializeToString()


def zip_with(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return file.getvalue()


def numpy_archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, weight=np.ones(3))
    return file.getvalue()


def exported_program() -> bytes:
    file = io.BytesIO()
    torch.export.save(torch.export.export(nn.Linear(3, 2).eval(), (torch.ones(1, 3),)), file)
    return file.getvalue()


OTHERS = {
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "is an HDF5 file, as Keras writes it, .* copy the weights"),
    "TFLite": (b"\x1c\0\0\0TFL3" + bytes(100), r"is a LiteRT \(TFLite\) file"),
    "ONNX": (onnx_file("pytorch"), "is an ONNX file"),
    "ONNX without a producer": (onnx_file(""), "is an ONNX file"),
    "Keras 3": (zip_with("metadata.json", "config.json", "model.weights.h5"), "is a Keras file"),
    "arrays": (numpy_archive(), "is an archive of NumPy arrays"),
    "an array": (b"\x93NUMPY\x01\0" + bytes(100), "is an array of NumPy"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\n",
        "is a pointer of Git LFS .* `git lfs pull`",
    ),
    "a web page": (b"\n<!DOCTYPE html><html></html>", "is a web page, .* download the file itself"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_of_another_program_is_named_and_not_called_damaged(kind: str) -> None:
    content, words = OTHERS[kind]
    with pytest.raises(CheckpointError, match=f"^net {words}") as refusal:
        read_tensors(content, "net")
    assert "damaged" not in str(refusal.value)


def test_a_program_of_torch_export_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"is a program of torch\.export, .* torch\.export\.load\(path\)"):
        read_tensors(exported_program(), "net")


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_is_no_other_format(kind: str) -> None:
    assert other_format(KINDS[kind](tensors("resnet8"))) is None


@pytest.mark.parametrize("protocol", range(5))
def test_a_pickle_is_no_other_format(protocol: int) -> None:
    assert other_format(pickle.dumps({"a": [1, 2, 3]}, protocol)) is None


def test_the_onnx_files_of_this_test_are_sound() -> None:
    onnx.checker.check_model(onnx.load_from_string(onnx_file("pytorch")))
