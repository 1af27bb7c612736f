"""The digest of the arithmetic: another formula, another digest; another comment, the same one."""

import ast
from pathlib import Path

import pytest

from compression.arithmetic import COMPUTES, COUNTS, PACKAGE, arithmetic, code, counting

OTHERWISE_DIGESTED = {  # what is imported beside COMPUTES and makes the networks or the images
    "boxes.py",
    "cifar10.py",
    "data.py",
    "models/architectures.py",
}

READING = {"models/dialects.py", "models/pickles.py", "models/reading.py", "models/zoo.py"}


@pytest.fixture
def package(copied_project: Path) -> Path:
    return copied_project / "compression"


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def after(package: Path) -> str:
    """The digest that a process would find that starts now."""
    arithmetic.cache_clear()
    return arithmetic(package)


def test_a_copy_of_the_code_has_the_same_digest(package: Path) -> None:
    assert after(package) == arithmetic()
    assert len(arithmetic()) == 16


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("quantizers.py", "top = 2 ** (bits - 1) - 1", "top = 2 ** (bits - 1)"),
        ("pruners.py", "scores >= threshold", "scores > threshold"),
        ("criteria.py", "rows.weights.abs()", "rows.weights"),
        ("structures.py", "one <= groups", "one < groups"),
        ("compress.py", "changed = changed * kept.mask", "changed = changed * ~kept.mask"),
        ("evaluate.py", "logits.argmax(1)", "logits.argmin(1)"),
        ("evaluate.py", "BATCH = 125", "BATCH = 250"),
        ("folding.py", "running_mean is None", "running_mean is not None"),
        ("spec.py", "Granularity = Granularity.CHANNEL", "Granularity = Granularity.TENSOR"),
        ("models/normalization.py", "div_(255)", "div_(256)"),
        ("models/resnet.py", "x[:, :, ::2, ::2]", "x[:, :, 1::2, 1::2]"),
    ],
)
def test_a_changed_formula_has_another_digest(package: Path, name: str, old: str, new: str) -> None:
    edit(package / name, old, new)
    assert after(package) != arithmetic()


@pytest.mark.parametrize("name", COMPUTES)
def test_a_statement_more_in_any_of_the_files_has_another_digest(package: Path, name: str) -> None:
    with (package / name).open("a", encoding="utf-8") as file:
        file.write("\nMORE = 1\n")
    assert after(package) != arithmetic()


@pytest.mark.parametrize("name", COMPUTES)
def test_comments_docstrings_and_layout_are_no_code(package: Path, name: str) -> None:
    text = (package / name).read_text(encoding="utf-8")
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    documented = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds) and ast.get_docstring(node)]
    lines = text.splitlines()
    for node in documented:
        first = node.body[0]
        lines[first.lineno - 1] = lines[first.lineno - 1].replace('"""', '"""In other words. ', 1)
    changed = "# A remark.\n\n" + "\n".join(
        f"{line}  # as said" if line.startswith("class") else line for line in lines
    )
    assert documented
    assert changed.count("In other words") == len(documented)
    (package / name).write_text(changed, encoding="utf-8")
    assert after(package) == arithmetic()


def test_code_loses_its_docstrings_and_no_other_strings() -> None:
    source = '"""Module."""\nclass A:\n    """Class."""\ndef f():\n    """Function."""\n    # why\n    return ("text")'
    assert code(source) == "class A:\n    pass\n\ndef f():\n    return 'text'"


def test_another_torch_has_another_digest() -> None:
    assert arithmetic(torch_version="1.0") != arithmetic()


def test_another_calibration_has_another_digest(package: Path) -> None:
    [first, *_] = sorted((package / "assets" / "calibration").iterdir())
    first.write_bytes(first.read_bytes()[:-1] + b"?")
    assert after(package) != arithmetic()
    first.unlink()
    assert after(package) != arithmetic()


def test_files_that_compute_cannot_change_places(package: Path) -> None:
    one, other = package / "pruners.py", package / "quantizers.py"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    assert after(package) != arithmetic()


def imported(*names: str) -> set[str]:
    """The files of the package that `names` import, and those that these import."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        for node in ast.walk(ast.parse((PACKAGE / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "compression":
                folder = PACKAGE.parent.joinpath(*node.module.split("."))
                places = [folder.with_suffix(".py"), *(folder / f"{alias.name}.py" for alias in node.names)]
                waiting |= {p.relative_to(PACKAGE).as_posix() for p in places if p.exists()} - found
    return found


def test_everything_that_evaluating_and_compressing_import_is_digested() -> None:
    """A new module has to be told where it belongs. Those of the workers also import what finds networks and images."""
    evidence = {
        *("chunks.py", "gradients.py", "sensitivity.py", "training.py", "observing.py"),
        "models/calibrations.py",
    }
    found = imported("compress.py", "evaluate.py", "models/architectures.py")
    assert found | evidence == {*COMPUTES} | OTHERWISE_DIGESTED


def test_everything_that_counting_imports_is_digested_too() -> None:
    """What reads networks from files counts nothing."""
    assert imported("costs.py") - {*COMPUTES} - OTHERWISE_DIGESTED - READING == {*COUNTS}


def test_another_way_to_count_has_another_digest(package: Path) -> None:
    before = counting(package)
    edit(package / "size.py", "FLOAT_BYTES = 4", "FLOAT_BYTES = 2")
    counting.cache_clear()
    assert counting(package) != before
    assert after(package) == arithmetic()
