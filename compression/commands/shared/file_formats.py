"""The files that `export` writes. Each is read again from the disk and verified."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from compression.core.compress import compress
from compression.core.record import CompressedModel
from compression.core.training_evidence import evidence_for
from compression.data.cifar10 import TEST
from compression.data.images import ImageSet, load
from compression.deploy.deployer import MOST_IMAGES
from compression.deploy.deployment import Check, compare_answers
from compression.deploy.pytorch_files import holds, state_file
from compression.deploy.tasks import predict_classes
from compression.deploy.variants import Variant, VariantKind, build, int8_spec
from compression.errors import DataMissing
from compression.evaluation.evaluation import evaluate, join
from compression.files.ledger import FileLedger, encode_file, explain_size
from compression.files.packed_reader import verify_file
from compression.networks.model import FloatModel
from compression.networks.weights import float_bytes
from compression.paths import write_whole
from compression.spec import CompressionSpec
from compression.spec.recipe import from_json

NOISE, NOISE_IMAGES = "noise", 500

INT8 = "batch norm folded, 8-bit layer inputs, symmetric weights of at most 8 bits, as int8 kernels need"


class FileReport(NamedTuple):
    """The report on a verified file: as text, and as values for JSON."""

    words: str
    values: dict[str, Any]


def write_packed(compressed: CompressedModel, model: FloatModel, path: Path) -> FileReport:
    """Writes the packed safetensors file.

    Raises ValueError if it cannot be written, CodecError if the file on the disk does not decode to `compressed`.
    """
    content, ledger = encode_file(compressed, model)
    write(path, content)
    verify_file(path, compressed)
    values = {
        "file": str(path),
        "spec": json.loads(compressed.spec.to_json()),
        "bytes": ledger.total,
        "float32_bytes": ledger.float32,
        "steps_bytes": ledger.steps,
        "entropy_bound_bytes": ledger.bound,
        "codings": {layer.name: layer.coding for layer in ledger.layers},
        "sentence": explain_size(ledger),
        "decoded_equals_evaluated": True,
    }
    return FileReport(_packed_words(path, ledger), values)


def _packed_words(path: Path, ledger: FileLedger) -> str:
    steps = "".join(f"  {name:<16}{nbytes:>14,}\n" for name, nbytes in ledger.steps.items())
    return (
        f"{path}\n"
        f"bytes     {ledger.total:,}, float32 {ledger.float32:,}: {ledger.float32 / ledger.total:.2f} times smaller\n"
        f"{steps}"
        f"bound     {ledger.bound:,.0f} bytes for codes and positions if each is coded alone: their order-0 entropy\n"
        f"why       {explain_size(ledger)}\n"
        f"verified  read again from the disk: the decoded weights are identical"
    )


def write_onnx(kind: VariantKind, compressed: CompressedModel, model: FloatModel, path: Path) -> FileReport:
    """Writes an ONNX file and compares ONNX Runtime with PyTorch on all test images or, without these, on noise.

    Raises ValueError if the network has no such form, DataError if it needs training images that are missing.
    """
    spec = int8_spec(compressed.spec) if kind.integers else compressed.spec
    try:
        images, kind_of_images = load(), "test images"
    except DataMissing:
        images, kind_of_images = noise_images(model), "images of noise, because there are no test images"
    write(path, build(model, Variant(kind, spec)).graph)
    simulation = compress(model.module, spec, evidence_for(model, spec))
    result = _compare_with_pytorch(path.read_bytes(), simulation, model, images)
    proof = f"ONNX Runtime classifies {result.agree:,} of {result.images:,} {kind_of_images} as PyTorch does"
    check: dict[str, Any] = {"checked_on": kind_of_images, "images": result.images, "agree": result.agree}
    if images.source != NOISE:
        proof += f", and {result.correct:,} correctly"
        check["correct"] = result.correct
    return _report(path, compressed, spec, proof, check, f"int8      {INT8}\n" if kind.integers else "")


def noise_images(model: FloatModel) -> ImageSet:
    """Returns images of random pixels, the same ones each time, in the shape of the inputs of `model`."""
    pixels = torch.randint(
        0, 256, (NOISE_IMAGES, *model.input_shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    split = replace(TEST, name=NOISE, shape=model.input_shape, images=NOISE_IMAGES, fingerprint="")
    return ImageSet(pixels, torch.zeros(NOISE_IMAGES, dtype=torch.int64), NOISE, split)


def _compare_with_pytorch(graph: bytes, simulation: CompressedModel, model: FloatModel, images: ImageSet) -> Check:
    chunks = range(0, len(images), MOST_IMAGES)
    parts, expected = [], []
    for start in tqdm(chunks, "checking", unit_scale=MOST_IMAGES, unit="image", leave=False):
        part = images[start : start + MOST_IMAGES]
        parts.append(predict_classes(graph, part.pixels.numpy()))
        expected.append(evaluate(simulation.module, part, model.normalization))
    return compare_answers(np.concatenate(parts), join(expected))


def write_state_dict(compressed: CompressedModel, model: FloatModel, path: Path) -> FileReport:
    """Writes the compressed weights as a state dict, for the same architecture in PyTorch."""
    write(path, state_file(compressed.module))
    if not holds(path.read_bytes(), compressed.module):
        raise ValueError(f"{path} does not hold the weights that were written")
    omission = "; activation quantization is not part of a state dict" if compressed.spec.activations else ""
    proof = f"all tensors are identical{omission}"
    return _report(path, compressed, compressed.spec, proof, {"same_bits": True})


def write_recipe(compressed: CompressedModel, model: FloatModel, path: Path) -> FileReport:
    """Writes the spec alone, as JSON."""
    write(path, compressed.spec.to_json().encode())
    if from_json(path.read_text()) != compressed.spec:
        raise ValueError(f"{path} does not hold the recipe that was written")
    return _report(path, compressed, compressed.spec, "the recipe is identical", {"same_recipe": True})


def _report(
    path: Path,
    compressed: CompressedModel,
    spec: CompressionSpec,
    proof: str,
    check: Mapping[str, Any],
    note: str = "",
) -> FileReport:
    """Returns the report on a file that computes `spec`; `check` holds the same as `proof` for JSON."""
    nbytes, float32 = path.stat().st_size, float_bytes(compressed.original)
    values = {
        "file": str(path),
        "spec": json.loads(spec.to_json()),
        "bytes": nbytes,
        "float32_bytes": float32,
        **check,
    }
    words = f"{path}\nbytes     {nbytes:,}, float32 {float32:,}\n{note}verified  read again from the disk: {proof}"
    return FileReport(words, values)


def write(path: Path, content: bytes) -> None:
    """Writes the file. Raises ValueError if the disk is full or the folder does not exist."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from error


FORMATS: dict[str, Callable[[CompressedModel, FloatModel, Path], FileReport]] = {
    ".state.safetensors": write_state_dict,
    ".safetensors": write_packed,
    ".int8-chain.onnx": partial(write_onnx, VariantKind.INT8_CHAIN),
    ".int8.onnx": partial(write_onnx, VariantKind.INT8),
    ".onnx": partial(write_onnx, VariantKind.COMPRESSED),
    ".json": write_recipe,
}
