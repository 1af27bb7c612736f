"""The digests of the code: another formula has another digest; another comment, message or place has the same one."""

import ast
from collections.abc import Iterable

import pytest
import torch

from compression.paths import ASSETS, PACKAGE
from compression.results.provenance import (
    CALIBRATIONS,
    COMPUTES,
    COUNTS,
    arithmetic,
    arithmetic_of,
    check_version,
    code,
    counting,
    counting_of,
    sources,
)

IMAGES_AND_NETWORKS = {  # imported beside COMPUTES, and digested through the images and the weights that they make
    "data/cifar10.py",
    "data/images.py",
    "data/sources.py",
    "data/split.py",
    "errors.py",
    "networks/architectures/table.py",
    "networks/model.py",
    "paths.py",
}
READING = {
    "networks/bundled.py",
    "spec/recipe.py",
    *(
        f"networks/checkpoints/{name}.py"
        for name in ("accuracies", "boxes", "formats", "metadata", "names", "pickles", "reading")
    ),
}
TEXTS = sources(COMPUTES)


def after(name: str, old: str, new: str) -> str:
    """Returns the code in the file `name` of COMPUTES with `old` replaced by `new`."""
    assert old in TEXTS[name]
    return code([TEXTS[name].replace(old, new)])


def test_the_digests_have_16_digits_and_are_those_of_the_files() -> None:
    calibrations = {path.name: path.read_bytes() for path in ASSETS.glob(CALIBRATIONS)}
    assert calibrations
    assert arithmetic() == arithmetic_of(TEXTS, calibrations, torch.__version__)
    assert counting() == counting_of(sources(COMPUTES + COUNTS))
    assert len(arithmetic()) == len(counting()) == 16


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("quantization/quantizers.py", "top = 2 ** (bits - 1) - 1", "top = 2 ** (bits - 1)"),
        ("pruning/masks.py", "scores >= threshold", "scores > threshold"),
        ("pruning/criteria.py", "rows.weights.abs()", "rows.weights"),
        ("pruning/structures.py", "score <= groups", "score < groups"),
        ("core/compress.py", "values = values * pruning.mask", "values = values * ~pruning.mask"),
        ("evaluation/evaluation.py", "logits.argmax(1)", "logits.argmin(1)"),
        ("evaluation/evaluation.py", "BATCH = 125", "BATCH = 250"),
        ("networks/folding.py", "running_mean is None", "running_mean is not None"),
        ("spec/quantize.py", "Granularity = Granularity.CHANNEL", "Granularity = Granularity.TENSOR"),
        ("networks/normalization.py", "div_(255)", "div_(256)"),
        ("networks/architectures/resnet.py", "x[:, :, ::2, ::2]", "x[:, :, 1::2, 1::2]"),
    ],
)
def test_a_changed_formula_changes_the_digest(name: str, old: str, new: str) -> None:
    """That of one file does: the code of several is theirs together, as a test below says."""
    assert after(name, old, new) != code([TEXTS[name]])


def test_another_statement_in_any_file_changes_the_digest() -> None:
    for name, text in TEXTS.items():
        assert code([text + "\nMORE = 1\n"]) != code([text]), name


def test_comments_docstrings_and_layout_do_not_change_the_digest() -> None:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    versions = {}
    for name, text in TEXTS.items():
        lines = text.splitlines()
        nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds) and ast.get_docstring(node)]
        assert nodes, name
        for node in nodes:
            place = node.body[0].lineno - 1
            lines[place] = lines[place].replace('"""', '"""In other words. ', 1)
        versions[name] = "# A remark.\n\n" + "\n".join(line + "  # why" * line.startswith("class") for line in lines)
        assert versions[name].count("In other words") == len(nodes)
    assert code(versions.values()) == code(TEXTS.values())


def test_imports_and_messages_of_exceptions_do_not_change_the_digest() -> None:
    source = (
        '"""Module."""\nfrom compression.a import b, c as d\nfrom torch import nn\nclass A:\n    """Class."""\n'
        'def f():\n    """Function."""\n    # why\n    raise ValueError(f"no {b}")\ndef g():\n    return ("text")'
    )
    bare = (
        "from compression import c as d\nfrom torch import nn\nclass A:\n    pass\ndef f():\n    raise ValueError\n"
        "def g():\n    return 'text'"
    )
    assert code([source]) == code([bare])


def test_the_digest_is_the_same_in_all_versions_of_python() -> None:
    """What `ast.unparse` and `ast.dump` write differs between versions: brackets, quotes, fields that are empty."""
    assert code(['x = {"a": (1, *b), "c": f"{d!r}"}', "def f(*, y=None): ..."]) == (
        "Assign(targets=[Name(id='x', ctx=Store())], value=Dict(keys=[Constant(value='a'), Constant(value='c')], "
        "values=[Tuple(elts=[Constant(value=1), Starred(value=Name(id='b', ctx=Load()), ctx=Load())], ctx=Load()), "
        "JoinedStr(values=[FormattedValue(value=Name(id='d', ctx=Load()), conversion=114)])]))\n"
        "FunctionDef(name='f', args=arguments(kwonlyargs=[arg(arg='y')], kw_defaults=[Constant()]), "
        "body=[Expr(value=Constant(value=Ellipsis))])"
    )


def test_it_does_not_matter_which_file_holds_a_definition() -> None:
    one, other = "from compression.a import b\nx = 1\ny = 2\n", "def f():\n    return 3\n"
    assert code([one, other]) == code([other, one]) == code(["y = 2\n" + other, "from compression.c import b\nx = 1\n"])
    assert code([one, other]) != code([one]) != code([one, one])


def test_the_code_of_all_files_is_that_of_each() -> None:
    lines = [line for text in TEXTS.values() for line in code([text]).splitlines()]
    assert sorted(code(TEXTS.values()).splitlines()) == sorted(lines)


def test_another_torch_or_calibration_has_another_digest() -> None:
    digests = {
        arithmetic_of({}, {"a": b"1"}, "2.0"),
        arithmetic_of({}, {"a": b"1"}, "2.1"),
        arithmetic_of({}, {"a": b"2"}, "2.0"),
        arithmetic_of({}, {"b": b"1"}, "2.0"),
        arithmetic_of({}, {}, "2.0"),
    }
    assert len(digests) == 5


def test_another_way_to_count_changes_only_the_digest_of_counting() -> None:
    texts = sources(COMPUTES + COUNTS)
    other = {**texts, "files/coding/bits.py": texts["files/coding/bits.py"] + "\nMORE = 1\n"}
    assert counting_of(other) != counting()
    assert "files/coding/bits.py" not in COMPUTES


def test_a_worker_with_other_code_refuses_to_compute() -> None:
    check_version(arithmetic())
    with pytest.raises(RuntimeError, match="another version of this laboratory; update it"):
        check_version("0" * 16)


def find_imports(names: Iterable[str]) -> set[str]:
    """Returns the files of the package that `names` import, directly or indirectly."""
    closure: set[str] = set()
    queue = set(names)
    while queue:
        name = queue.pop()
        closure.add(name)
        for node in ast.walk(ast.parse((PACKAGE / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "compression":
                folder = PACKAGE.parent.joinpath(*node.module.split("."))
                modules = [folder.with_suffix(".py"), folder / "__init__.py"]
                modules += [folder / f"{alias.name}.py" for alias in node.names]
                files = {path.relative_to(PACKAGE).as_posix() for path in modules if path.exists()}
                queue |= {file for file in files if file == "spec/__init__.py" or "__init__" not in file} - closure
    return closure


def test_everything_that_evaluating_and_compressing_import_is_digested() -> None:
    """A new module must be listed. The tasks of workers also import the code that finds networks and images."""
    evidence = {
        *("engine/tasks.py", "experiments/layerwise.py", "experiments/tasks.py"),
        *("core/bundled_calibrations.py", "core/gradients.py", "core/observe.py"),
        *("core/output_gradients.py", "core/training_evidence.py"),
    }
    closure = find_imports(["core/compress.py", "evaluation/evaluation.py", "networks/architectures/table.py"])
    assert (closure | evidence) - IMAGES_AND_NETWORKS == {*COMPUTES}


def test_everything_that_counting_imports_is_digested_too() -> None:
    """Code that reads networks from files is not part of counting."""
    assert find_imports(["results/costs.py"]) - {*COMPUTES} - IMAGES_AND_NETWORKS - READING == {*COUNTS}
