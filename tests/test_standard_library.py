"""Python 3.14 and later have a package `compression` of their own. Both it and ours are there, whichever came first.

On an older Python, a folder with files of the same names stands in for it, in a fresh process.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compression.paths import PROJECT

HERE = PROJECT / "compression"

MODULES = ("_common", "bz2", "gzip", "lzma", "zlib", "zstd")  # of Python 3.14

AS_IN_3_14 = """
import os, sys
os.__file__ = os.path.join({library!r}, "os.py")
sys.stdlib_module_names |= {{"compression"}}
sys.path[:0] = {paths!r}
"""

BOTH_ARE_THERE = f"""
import compression, compression._common, compression.zstd
from compression.spec import QuantSpec
assert compression.QuantSpec(4) == QuantSpec(4)
assert compression.load("simple_cnn").parameters == 268_650
assert compression.__file__ == {str(HERE / "__init__.py")!r}
assert compression.__path__ == [{str(HERE)!r}, os.path.join(os.path.dirname(os.__file__), "compression")]
assert compression.zstd.__file__.startswith(compression.__path__[1])
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Returns the standard library's folder of Python 3.14, or a stand-in with its package `compression`."""
    if "compression" in sys.stdlib_module_names:
        return Path(os.__file__).parent
    package = tmp_path / "lib" / "compression"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for name in MODULES:
        (package / f"{name}.py").write_text(f"NAME = {name!r}\n")
    return package.parent


def run(code: str, library: Path, *first: Path) -> None:
    """Runs `code` in a fresh process, with `first` and then `library` in front of `sys.path`."""
    prelude = AS_IN_3_14.format(library=str(library), paths=[str(path) for path in (*first, library)])
    process = subprocess.run([sys.executable, "-I", "-c", prelude + code], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")


def test_our_package_first_serves_the_modules_of_both(library: Path) -> None:
    run(BOTH_ARE_THERE, library, PROJECT)


def test_the_standard_package_first_gives_way_to_ours_and_keeps_its_modules(library: Path) -> None:
    """The programs `streamlit` and `pytest` put the project's folder on the path later."""
    code = f"""
import compression as standard
import compression.gzip as gzip
assert not hasattr(standard, "QuantSpec")
sys.path.insert(0, {str(PROJECT)!r})
import squeezelab
{BOTH_ARE_THERE}
assert compression is standard and compression.gzip is gzip
"""
    run(code, library)


def test_the_project_behind_the_standard_library_on_the_path_is_enough(library: Path) -> None:
    run(f"sys.path.append({str(PROJECT)!r})\nimport squeezelab\n{BOTH_ARE_THERE}", library)


def test_a_page_claims_the_name_before_it_imports_anything_else_of_ours(library: Path) -> None:
    code = f"""
import compression.gzip
sys.path.insert(0, {str(PROJECT)!r})
import logging
logging.disable(logging.CRITICAL)  # Streamlit's warnings that no server runs
import pages.ui.supported
{BOTH_ARE_THERE}
"""
    run(code, library)


@pytest.mark.parametrize("path", [PROJECT / "app.py", *sorted((PROJECT / "pages").glob("*.py"))], ids=lambda p: p.name)
def test_every_page_imports_what_claims_the_name_before_the_package(path: Path) -> None:
    imports = [line for line in path.read_text("utf-8").splitlines() if line.startswith(("import ", "from "))]
    ours = [line for line in imports if line.split()[1].partition(".")[0] in ("compression", "pages")]
    assert ours[0].startswith("import pages.ui.supported")


def test_nothing_runs_again_if_our_package_is_imported_already(library: Path) -> None:
    code = """
import compression
compression.mark, before = 1, list(sys.path)
import squeezelab
assert compression.mark == 1 and sys.path == before
compression.QuantSpec
squeezelab.claim_name()
assert "QuantSpec" in vars(compression)
"""
    run(code, library, PROJECT)


def test_our_packages_and_the_modules_of_the_standard_library_have_different_names() -> None:
    ours = {path.name.removesuffix(".py") for path in (PROJECT / "compression").iterdir()}
    assert not ours & set(MODULES)
