"""Which arithmetic predictions come from: a digest of the code that computes them, so that no change of it meets
results of before.

Networks and images are not part of it, nor is the code that makes or reads them: both have digests of their own. The
calibrations of the bundled networks have none, and are part of it.
"""

import ast
import hashlib
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


@cache
def arithmetic(package: Path = PACKAGE, torch_version: str = torch.__version__) -> str:
    """16 hex digits that change with what COMPUTES and CALIBRATIONS name in `package`, and with the version of torch.

    Comments, docstrings and layout are no code. Read once: a running process goes on with the code it has loaded.
    """
    digest = hashlib.sha256(torch_version.encode())
    for name in COMPUTES:
        digest.update(f"\0{name}\0{code(package.joinpath(name).read_text(encoding='utf-8'))}".encode())
    for path in sorted(package.glob(CALIBRATIONS)):
        digest.update(f"\0{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def code(source: str) -> str:
    """`source` as Python prints its syntax tree, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _documented(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _documented(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return ast.get_docstring(node, clean=False) is not None
