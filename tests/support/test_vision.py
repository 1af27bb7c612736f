"""torchvision through `tests.support.vision`: it imports whichever torch stands beside it, and real errors show."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from compression.networks.normalization import NORMALIZATIONS, Normalization

PROJECT = Path(__file__).parents[2]


def in_fresh_python(code: str, *folders: Path) -> subprocess.CompletedProcess[str]:
    """Runs `code` in a new process that looks for packages in `folders` first."""
    path = os.pathsep.join(str(folder) for folder in (*folders, PROJECT))
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )


def torchvision_that(does: str, folder: Path) -> Path:
    """Writes a package torchvision whose import runs the line `does`, and returns its folder."""
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text(does)
    return folder


def test_a_fresh_python_imports_all_of_torchvision() -> None:
    code = "import tests.support.vision; from torchvision import datasets, io, models, ops, transforms, utils"
    process = in_fresh_python(code)
    assert (process.returncode, process.stderr) == (0, "")


def test_an_ordinary_torchvision_is_left_alone(tmp_path: Path) -> None:
    code = (
        "from tests.support.vision import torchvision; import torch;"
        "print(torchvision.kind, hasattr(torch.ops.torchvision, 'nms'))"
    )
    process = in_fresh_python(code, torchvision_that("kind = 'ordinary'", tmp_path))
    assert process.stdout.split() == ["ordinary", "False"]


@pytest.mark.parametrize(
    "error", ["RuntimeError('compiled with different CUDA major versions')", "ImportError('libjpeg is missing')"]
)
def test_other_errors_of_the_import_show(error: str, tmp_path: Path) -> None:
    (tmp_path / "torch.py").touch()  # the real one takes seconds, and such an error has nothing to do with it
    process = in_fresh_python("import tests.support.vision", torchvision_that(f"raise {error}", tmp_path))
    assert process.returncode != 0
    assert process.stderr.splitlines()[-1] == error.replace("('", ": ").removesuffix("')")


@pytest.mark.parametrize("normalization", NORMALIZATIONS.values(), ids=lambda n: n.name)
def test_our_normalization_gives_the_bits_of_to_tensor_and_normalize(
    normalization: Normalization, torchvision: ModuleType
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    transforms = torchvision.transforms
    theirs = transforms.Compose([transforms.ToTensor(), transforms.Normalize(normalization.mean, normalization.std)])(
        Image.fromarray(pixels)
    )
    ours = normalization(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0]
    assert torch.equal(ours, theirs)
