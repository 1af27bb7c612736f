"""Which arithmetic predictions come from: a digest of the code that computes them, so that no change of it meets
results of before. And one of the code that counts bytes and operations.

Networks and images are not part of it, nor is the code that makes or reads them: both have digests of their own. The
calibrations of the bundled networks have none, and are part of it.
"""

import ast
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

PACKAGE = Path(__file__).parent
CALIBRATIONS = "assets/calibration/*.safetensors"
COMPUTES = (
    "activations.py",
    "calibration.py",
    "chunks.py",
    "clips.py",
    "clusters.py",
    "codebooks.py",
    "compress.py",
    "criteria.py",
    "divergence.py",
    "evaluate.py",
    "evidence.py",
    "folding.py",
    "gradients.py",
    "groups.py",
    "merging.py",
    "observing.py",
    "pruners.py",
    "pruning.py",
    "quantizers.py",
    "reestimate.py",
    "sensitivity.py",
    "spec.py",
    "structures.py",
    "training.py",
    "weights.py",
    "models/calibrations.py",
    "models/mobilenetv2.py",
    "models/normalization.py",
    "models/repvgg.py",
    "models/resnet.py",
    "models/shufflenetv2.py",
    "models/simple_cnn.py",
    "models/stages.py",
    "models/vgg.py",
)

COUNTS = (
    "bits.py",
    "codec.py",
    "coding.py",
    "costs.py",
    "entropy.py",
    "operations.py",
    "packing.py",
    "quantizer_bytes.py",
    "size.py",
    "survivors.py",
    "waterfall.py",
)


@cache
def arithmetic(package: Path = PACKAGE, torch_version: str = torch.__version__) -> str:
    """16 hex digits that change with what COMPUTES and CALIBRATIONS name in `package`, and with the version of torch.

    Comments, docstrings and layout are no code. Read once: a running process goes on with the code it has loaded.
    """
    digest = hashlib.sha256(torch_version.encode())
    _add_code(digest, package, COMPUTES)
    for path in sorted(package.glob(CALIBRATIONS)):
        digest.update(f"\0{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


@cache
def counting(package: Path = PACKAGE) -> str:
    """16 hex digits that change with what COMPUTES and COUNTS name: what is counted is of what was computed."""
    digest = hashlib.sha256()
    _add_code(digest, package, COMPUTES + COUNTS)
    return digest.hexdigest()[:16]


def check(version: str) -> None:
    """Raises RuntimeError where `version`, the arithmetic of who asks, is not that of the code here."""
    if version != arithmetic():
        raise RuntimeError("a worker of the cluster runs another version of this laboratory; update it and start again")


def _add_code(digest: "hashlib._Hash", package: Path, names: Sequence[str]) -> None:
    for name in names:
        digest.update(f"\0{name}\0{code(package.joinpath(name).read_text(encoding='utf-8'))}".encode())


def code(source: str) -> str:
    """`source` as Python prints its syntax tree, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _documented(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _documented(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return ast.get_docstring(node, clean=False) is not None
