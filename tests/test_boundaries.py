"""Who may import whom: the walls of the house, read off the code."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
CORE = sorted((PROJECT / "compression").rglob("*.py"))
SCREEN = [path for path in [PROJECT / "app.py", *sorted((PROJECT / "pages").rglob("*.py"))] if path.exists()]
name = lambda path: path.relative_to(PROJECT).as_posix()


def imported(source: str) -> set[str]:
    """The top-level packages that `source` imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def caches(source: str) -> bool:
    """Whether `source` names one of Streamlit's caches: st.cache_data, from streamlit import cache_resource, ..."""
    names = {"cache_data", "cache_resource"}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in names:
            return True
        if isinstance(node, ast.ImportFrom) and any(alias.name in names for alias in node.names):
            return True
    return False


def importers(package: str) -> set[str]:
    return {name(path) for path in CORE + SCREEN if package in imported(path.read_text(encoding="utf-8"))}


def test_the_readers_of_code_see_every_kind_of_import_and_cache() -> None:
    code = "import a.b as c\ndef f():\n    from d.e import g\n    import h, i\nfrom . import j\nfrom .k import l"
    assert imported(code) == {"a", "d", "h", "i"}
    assert caches("@st.cache_data(ttl=3)\ndef f(): pass")
    assert caches("from streamlit import cache_resource as keep")
    assert not caches("from functools import cache")


@pytest.mark.parametrize("path", CORE, ids=name)
def test_the_core_knows_no_screen(path: Path) -> None:
    assert not imported(path.read_text(encoding="utf-8")) & {"streamlit", "plotly", "pages", "app"}


@pytest.mark.parametrize("path", SCREEN, ids=name)
def test_the_screen_leaves_tensors_to_the_core(path: Path) -> None:
    assert not imported(path.read_text(encoding="utf-8")) & {"torch", "torchvision", "safetensors"}


def test_only_compute_caches_for_streamlit() -> None:
    users = {name(path) for path in CORE + SCREEN if caches(path.read_text(encoding="utf-8"))}
    assert users <= {"pages/ui/compute.py"}


def test_only_charts_draws_and_it_knows_no_streamlit() -> None:
    assert importers("plotly") <= {"pages/ui/charts.py"}
    assert "pages/ui/charts.py" not in importers("streamlit")


def test_only_the_engine_knows_where_work_runs() -> None:
    assert importers("distributed") | importers("dask") <= {"compression/engine.py"}


def test_nothing_unpickles_but_the_guarded_reader_of_batches() -> None:
    assert importers("pickle") <= {"compression/boxes.py", "compression/models/reading.py"}
    for path in CORE + SCREEN:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "pickle.load", "pickle.loads"):
                assert "weights_only=True" in ast.unparse(node), f"{name(path)}:{node.lineno}"
