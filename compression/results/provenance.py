"""Digests of the code that computes predictions, and of the code that counts bytes and operations.

Results are stored under these digests, so results of other code are ignored. Networks and images have digests of their
own, so the code that makes or reads them is left out. The bundled calibrations have none, so they are included. A
digest does not change if a definition moves to another file.
"""

import ast
import hashlib
from collections.abc import Iterable, Mapping
from functools import cache

import torch

from compression.paths import ASSETS, PACKAGE

CALIBRATIONS = "calibration/*.safetensors"

COMPUTES = (
    "cached_property.py",
    "core/batch_norm.py",
    "core/bundled_calibrations.py",
    "core/compress.py",
    "core/evidence.py",
    "core/gradients.py",
    "core/observe.py",
    "core/output_gradients.py",
    "core/pruning_plan.py",
    "core/record.py",
    "core/recovery.py",
    "core/training_evidence.py",
    "engine/tasks.py",
    "evaluation/evaluation.py",
    "evaluation/statistics.py",
    "experiments/layerwise.py",
    "experiments/tasks.py",
    "networks/architectures/mobilenet.py",
    "networks/architectures/mobilenetv2.py",
    "networks/architectures/plain.py",
    "networks/architectures/preact_resnet.py",
    "networks/architectures/repvgg.py",
    "networks/architectures/resnet.py",
    "networks/architectures/shufflenetv2.py",
    "networks/architectures/stages.py",
    "networks/architectures/vgg.py",
    "networks/folding.py",
    "networks/normalization.py",
    "networks/weights.py",
    "pruning/criteria.py",
    "pruning/masks.py",
    "pruning/merging.py",
    "pruning/structures.py",
    "quantization/activations.py",
    "quantization/calibration.py",
    "quantization/codebooks.py",
    "quantization/groups.py",
    "quantization/kl.py",
    "quantization/kmeans.py",
    "quantization/quantizers.py",
    "quantization/ranges.py",
    "quantization/vectors.py",
    "reconstruction/equalization.py",
    "reconstruction/factor.py",
    "reconstruction/grids.py",
    "reconstruction/learned.py",
    "reconstruction/moments.py",
    "reconstruction/reconstruct.py",
    "reconstruction/rounding.py",
    "reconstruction/rows.py",
    "reconstruction/solve.py",
    "reconstruction/statistics.py",
    "reconstruction/survivors.py",
    "reconstruction/walk.py",
    "spec/__init__.py",
    "spec/checks.py",
    "spec/compression.py",
    "spec/prune.py",
    "spec/quantize.py",
    "spec/rounding.py",
    "spec/vectors.py",
)

COUNTS = (
    "files/coding/ans.py",
    "files/coding/bits.py",
    "files/coding/codings.py",
    "files/coding/contexts.py",
    "files/coding/floats.py",
    "files/coding/frequencies.py",
    "files/coding/places.py",
    "files/coding/vectors.py",
    "files/ledger.py",
    "files/packed_file.py",
    "files/packed_quantizer.py",
    "files/packed_reader.py",
    "files/packed_weight.py",
    "files/size.py",
    "files/stored.py",
    "networks/macs.py",
    "results/costs.py",
)


@cache
def sources(names: tuple[str, ...]) -> Mapping[str, str]:
    """The texts of files of the package by their names; read once, since a running process keeps the code it loaded."""
    return {name: PACKAGE.joinpath(name).read_text(encoding="utf-8") for name in names}


@cache
def arithmetic(torch_version: str = torch.__version__) -> str:
    """Returns 16 hexadecimal digits for the code in COMPUTES, the bundled calibrations and the version of torch."""
    calibrations = {path.name: path.read_bytes() for path in ASSETS.glob(CALIBRATIONS)}
    return arithmetic_of(sources(COMPUTES), calibrations, torch_version)


def arithmetic_of(texts: Mapping[str, str], calibrations: Mapping[str, bytes], torch_version: str) -> str:
    """Returns `arithmetic` for given `texts` by file name and `calibrations` by file name."""
    digest = hashlib.sha256(torch_version.encode())
    digest.update(code(texts.values()).encode())
    for name, content in sorted(calibrations.items()):
        digest.update(f"\0{name}\0".encode() + hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]


@cache
def counting() -> str:
    """Returns 16 hexadecimal digits for the code in COMPUTES and COUNTS: a count depends on what was computed."""
    return counting_of(sources(COMPUTES + COUNTS))


def counting_of(texts: Mapping[str, str]) -> str:
    """Returns `counting` for given `texts` by file name."""
    return hashlib.sha256(code(texts.values()).encode()).hexdigest()[:16]


def check_version(version: str) -> None:
    """Raises RuntimeError if `version`, the `arithmetic` of the process that asks, differs from the one here."""
    if version != arithmetic():
        raise RuntimeError("a worker of the cluster runs another version of this laboratory; update it and start again")


def code(texts: Iterable[str]) -> str:
    """Returns the top-level statements of all `texts`, sorted, so that it does not matter which file holds which.

    Left out is what computes nothing: comments, layout, docstrings, the messages of raised exceptions, and the modules
    that names of this package are imported from.
    """
    return "\n".join(sorted(statement for text in texts for statement in _statements(text)))


def _statements(text: str) -> list[str]:
    tree = _OnlyWhatComputes().visit(ast.parse(text))
    return [_as_text(statement) for statement in tree.body]


def _as_text(node: object) -> str:
    """Returns the syntax tree as a text that is the same in all versions of Python.

    `ast.unparse` and `ast.dump` are not: newer versions write other brackets and quotes, or have fields that are empty.
    """
    if isinstance(node, ast.AST):
        fields = (f"{name}={_as_text(value)}" for name, value in ast.iter_fields(node) if value not in (None, []))
        return f"{type(node).__name__}({', '.join(fields)})"
    return f"[{', '.join(map(_as_text, node))}]" if isinstance(node, list) else repr(node)


class _OnlyWhatComputes(ast.NodeTransformer):
    """Removes docstrings, imports of this package and messages of exceptions from a syntax tree."""

    def visit_Module(self, node: ast.Module) -> ast.AST:
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._without_docstring(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._without_docstring(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """Keeps of an import from this package the names that it changes: `from compression.a import b as c`."""
        if (node.module or "").partition(".")[0] != "compression":
            return node
        renamed = [alias for alias in node.names if alias.asname]
        return ast.ImportFrom("compression", renamed, 0) if renamed else None

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return node

    def _without_docstring(self, node: ast.Module | ast.ClassDef | ast.FunctionDef) -> ast.AST:
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        self.generic_visit(node)
        return node
