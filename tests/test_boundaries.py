"""Which package may import which, and how long files and functions may be: read off the code."""

import ast
from functools import cache
from pathlib import Path

import pytest

from compression.paths import PROJECT

CORE = sorted((PROJECT / "compression").rglob("*.py"))
SCREEN = [PROJECT / "app.py", *sorted((PROJECT / "pages").rglob("*.py"))]
EVERY_FOLDER = sorted(
    {path.parent for root in ("compression", "pages", "tests", "benchmarks") for path in (PROJECT / root).rglob("*.py")}
)

LAYERS = {
    "spec": set(),
    "data": set(),
    "networks": {"spec", "data"},
    "quantization": {"spec"},
    "pruning": {"spec", "networks"},
    "reconstruction": {"spec", "networks", "quantization", "pruning"},
    "evaluation": {"data", "networks", "spec"},
    "training": {"data", "networks"},
    "lessons": {"spec", "quantization", "pruning", "reconstruction"},
    "core": {"spec", "data", "networks", "quantization", "pruning", "reconstruction"},
    "files": {"spec", "networks", "quantization", "pruning", "core"},
    "retraining": {
        *("spec", "data", "networks", "quantization", "pruning"),
        *("reconstruction", "core", "files", "evaluation", "training"),
    },
    "library": {"spec", "data", "networks", "files", "retraining"},
    "inspect": {"spec", "data", "networks", "quantization", "pruning", "core", "evaluation"},
    "results": {"spec", "data", "networks", "core", "evaluation", "files"},
    "engine": {"spec", "data", "networks", "core", "evaluation", "results"},
    "inside": {"spec", "data", "networks", "quantization", "core", "files", "evaluation", "results", "engine"},
    "experiments": {
        *("spec", "data", "networks", "quantization", "core", "files", "evaluation", "results", "engine"),
        *("training", "retraining", "library"),
    },
    "deploy": {"spec", "data", "networks", "quantization", "pruning", "core", "evaluation", "engine", "results"},
}
FREE = {"cached_property", "errors", "paths"}  # modules of compression itself that every package may import
SHARED_SCREENS = {"wording", "supported", "charts", "compute", "frame", "settings", "state", "accuracy"}


def name(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


@cache
def nodes(source: str) -> list[ast.AST]:
    """Returns all nodes of the syntax tree. Each file is parsed once for all tests."""
    return list(ast.walk(ast.parse(source)))


@cache
def modules(source: str) -> frozenset[str]:
    """Returns the modules that `source` imports anywhere; `from a import b` counts as both a and a.b."""
    names = set()
    for node in nodes(source):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def libraries(path: Path) -> set[str]:
    """Returns the top-level packages that a file imports."""
    return {module.partition(".")[0] for module in modules(text(path))}


def below(root: str, path: Path) -> set[str]:
    """Returns the modules and packages directly below the package `root` that a file imports."""
    names = modules(text(path))
    return {module.removeprefix(f"{root}.").partition(".")[0] for module in names if module.startswith(f"{root}.")}


def caches(source: str) -> bool:
    """Returns whether `source` names a cache of Streamlit: st.cache_data, from streamlit import cache_resource, ..."""
    names = {"cache_data", "cache_resource"}
    for node in nodes(source):
        if isinstance(node, ast.Attribute) and node.attr in names:
            return True
        if isinstance(node, ast.ImportFrom) and any(alias.name in names for alias in node.names):
            return True
    return False


def importers(library: str) -> set[str]:
    return {name(path) for path in CORE + SCREEN if library in libraries(path)}


def test_the_checks_below_detect_every_kind_of_import_and_cache() -> None:
    code = "import a.b as c\ndef f():\n    from d.e import g\n    import h, i\nfrom . import j\nfrom .k import l"
    assert modules(code) == {"a.b", "d.e", "d.e.g", "h", "i"}
    assert caches("@st.cache_data(ttl=3)\ndef f(): pass")
    assert caches("from streamlit import cache_resource as keep")
    assert not caches("from functools import cache")


@pytest.mark.parametrize(("package", "allowed"), LAYERS.items(), ids=LAYERS)
def test_a_package_imports_what_lies_below_it_and_nothing_else(package: str, allowed: set[str]) -> None:
    for path in sorted((PROJECT / "compression" / package).rglob("*.py")):
        assert below("compression", path) - FREE <= allowed | {package}, name(path)


def test_the_table_of_layers_lists_every_package() -> None:
    packages = {path.parent.name for path in (PROJECT / "compression").glob("*/__init__.py")}
    assert packages == {*LAYERS, "api", "commands"}


def test_there_is_no_circle_of_imports() -> None:
    files = {module_of(path): path for path in CORE + SCREEN}
    imports = {module: modules(text(path)) & files.keys() - {module} for module, path in files.items()}
    while leaves := {module for module, below_it in imports.items() if not below_it}:
        imports = {module: below_it - leaves for module, below_it in imports.items() if module not in leaves}
    assert not imports


def module_of(path: Path) -> str:
    return name(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def test_the_package_imports_neither_streamlit_nor_plotly_nor_pages() -> None:
    for path in CORE:
        assert not libraries(path) & {"streamlit", "plotly", "pages", "app"}, name(path)


def test_pages_import_neither_torch_nor_commands() -> None:
    for path in SCREEN:
        assert not libraries(path) & {"torch", "torchvision", "safetensors"}, name(path)
        assert "commands" not in below("compression", path), name(path)


def test_no_page_imports_the_folder_of_another_page() -> None:
    for path in sorted((PROJECT / "pages" / "ui").rglob("*.py")):
        own = path.relative_to(PROJECT / "pages" / "ui").parts[0].removesuffix(".py")
        assert below("pages.ui", path) <= SHARED_SCREENS | (set() if own in SHARED_SCREENS else {own}), name(path)


def test_only_compute_caches_for_streamlit() -> None:
    users = {path.parent for path in CORE + SCREEN if caches(text(path))}
    assert users == {PROJECT / "pages/ui/compute"}


def test_only_charts_imports_plotly_and_only_show_shows_charts() -> None:
    charts = PROJECT / "pages/ui/charts"
    users = {path for path in CORE + SCREEN if "plotly" in libraries(path)}
    assert users
    assert all(charts in path.parents for path in users)
    assert [path.name for path in charts.rglob("*.py") if "streamlit" in libraries(path)] == ["show.py"]


def test_only_the_engine_imports_dask() -> None:
    assert importers("distributed") | importers("dask") == {"compression/engine/cluster.py"}


def test_only_the_history_of_searches_imports_optuna() -> None:
    assert importers("optuna") == {"compression/experiments/search/history.py"}


def test_only_the_guarded_readers_unpickle() -> None:
    assert importers("pickle") <= {"compression/data/sources.py", "compression/networks/checkpoints/reading.py"}
    for path in CORE + SCREEN:
        for node in nodes(text(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "pickle.load", "pickle.loads"):
                assert "weights_only=True" in ast.unparse(node), f"{name(path)}:{node.lineno}"


def test_a_folder_has_at_most_14_files() -> None:
    for folder in EVERY_FOLDER:
        assert len(list(folder.glob("*.py"))) <= 14, name(folder)


def test_files_are_short() -> None:
    for most, paths in ((300, CORE), (200, SCREEN)):
        assert [name(path) for path in paths if len(text(path).splitlines()) > most] == []


def test_functions_are_short() -> None:
    for path in CORE + SCREEN:
        for node in nodes(text(path)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 50, f"{name(path)}: {node.name}"
