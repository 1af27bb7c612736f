"""The files that `export` writes. Each is read again from the disk and proved, in words and as values for JSON."""

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
from compression.deploy.deployer import CHUNK, Check, answers, check
from compression.deploy.state_dict import holds, state_file
from compression.deploy.variants import Kind, Variant, build, int8_spec
from compression.errors import DataMissing
from compression.evaluation.evaluation import evaluate, join
from compression.files.ledger import FileLedger, encode_file, explain_size
from compression.files.packed_file import verify_file
from compression.networks.model import FloatModel
from compression.networks.weights import float_bytes
from compression.paths import write_whole
from compression.spec import CompressionSpec
from compression.spec.recipe import from_json

NOISE, NOISE_IMAGES = "noise", 500

INT8 = "batch norm folded, inputs of 8 bits, symmetric weights of at most 8: what int8 kernels compute"


class Exported(NamedTuple):
    """What is said of a file once it is written and proved: in words, and as values for JSON."""

    words: str
    values: dict[str, Any]


def packed(compressed: CompressedModel, model: FloatModel, path: Path) -> Exported:
    """The packed safetensors file of `codec`.

    Raises ValueError where it cannot be written, CodecError where what is on the disk does not decode to `compressed`.
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
    return Exported(_packed_words(path, ledger), values)


def _packed_words(path: Path, ledger: FileLedger) -> str:
    steps = "".join(f"  {name:<16}{nbytes:>14,}\n" for name, nbytes in ledger.steps.items())
    return (
        f"{path}\n"
        f"bytes     {ledger.total:,}, float32 {ledger.float32:,}: {ledger.float32 / ledger.total:.2f} times smaller\n"
        f"{steps}"
        f"bound     {ledger.bound:,.0f} bytes of codes and places, order-0 entropy\n"
        f"why       {explain_size(ledger)}\n"
        f"proof     read again from the disk: decoded equals evaluated, number by number"
    )


def onnx(kind: Kind, compressed: CompressedModel, model: FloatModel, path: Path) -> Exported:
    """An ONNX file, answered by ONNX Runtime beside PyTorch: on all test images or, where there are none, on noise.

    Raises ValueError where there is no such file, DataError where it takes images that are missing.
    """
    spec = int8_spec(compressed.spec) if kind.integers else compressed.spec
    try:
        images, of = load(), "test images"
    except DataMissing:
        images, of = noise(model), "images of noise, for there are no test images"
    write(path, build(model, Variant(kind, spec)).graph)
    found = _beside_pytorch(path.read_bytes(), compress(model.module, spec, evidence_for(model, spec)), model, images)
    proof = f"ONNX Runtime agrees with PyTorch on {found.agree:,} of {found.images:,} {of}"
    checked: dict[str, Any] = {"checked_on": of, "images": found.images, "agree": found.agree}
    if images.source != NOISE:
        proof += f", and has {found.correct:,} right"
        checked["correct"] = found.correct
    return _exported(path, compressed, spec, proof, checked, f"int8      {INT8}\n" if kind.integers else "")


def noise(model: FloatModel) -> ImageSet:
    """Images of random pixels, the same ones each time, of the shape that `model` takes."""
    pixels = torch.randint(
        0, 256, (NOISE_IMAGES, *model.input_shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    split = replace(TEST, name=NOISE, shape=model.input_shape, images=NOISE_IMAGES, fingerprint="")
    return ImageSet(pixels, torch.zeros(NOISE_IMAGES, dtype=torch.int64), NOISE, split)


def _beside_pytorch(graph: bytes, simulated: CompressedModel, model: FloatModel, images: ImageSet) -> Check:
    chunks = range(0, len(images), CHUNK)
    said, expected = [], []
    for start in tqdm(chunks, "checking", unit_scale=CHUNK, unit="image", leave=False):
        part = images[start : start + CHUNK]
        said.append(answers(graph, part.pixels.numpy()))
        expected.append(evaluate(simulated.module, part, model.normalization))
    return check(np.concatenate(said), join(expected))


def state_dict(compressed: CompressedModel, model: FloatModel, path: Path) -> Exported:
    """The masked weights as a state dict, for the same architecture in PyTorch."""
    write(path, state_file(compressed.module))
    if not holds(path.read_bytes(), compressed.module):
        raise ValueError(f"{path} does not hold the weights that were written")
    weights = "; what quantizes activations is no part of it" if compressed.spec.activations else ""
    proof = f"the same bits, tensor by tensor{weights}"
    return _exported(path, compressed, compressed.spec, proof, {"same_bits": True})


def recipe(compressed: CompressedModel, model: FloatModel, path: Path) -> Exported:
    """The spec alone, as JSON."""
    write(path, compressed.spec.to_json().encode())
    if from_json(path.read_text()) != compressed.spec:
        raise ValueError(f"{path} does not hold the recipe that was written")
    return _exported(path, compressed, compressed.spec, "the same recipe", {"same_recipe": True})


def _exported(
    path: Path,
    compressed: CompressedModel,
    spec: CompressionSpec,
    proof: str,
    proved: Mapping[str, Any],
    note: str = "",
) -> Exported:
    """`spec`: what the file computes; `proved`: the same as `proof`, as values."""
    nbytes, float32 = path.stat().st_size, float_bytes(compressed.original)
    values = {
        "file": str(path),
        "spec": json.loads(spec.to_json()),
        "bytes": nbytes,
        "float32_bytes": float32,
        **proved,
    }
    words = f"{path}\nbytes     {nbytes:,}, float32 {float32:,}\n{note}proof     read again from the disk: {proof}"
    return Exported(words, values)


def write(path: Path, content: bytes) -> None:
    """Raises ValueError where there is no room, or no such folder."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from error


FORMATS: dict[str, Callable[[CompressedModel, FloatModel, Path], Exported]] = {
    ".state.safetensors": state_dict,
    ".safetensors": packed,
    ".int8-chain.onnx": partial(onnx, Kind.INT8_CHAIN),
    ".int8.onnx": partial(onnx, Kind.INT8),
    ".onnx": partial(onnx, Kind.AS_SET),
    ".json": recipe,
}
