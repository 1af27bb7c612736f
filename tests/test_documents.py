"""The documents hold: links lead somewhere, code runs, commands exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import compression as sq
from compression.__main__ import parser
from compression.paths import PROJECT
from docs.check_figures import Claim, Figure, claims, mistakes

DOCUMENTS = [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").glob("*.md"))]


def name(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(encoding="utf-8"), re.M | re.S)


def run(document: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Runs the Python blocks of a document, one after another, in an empty folder; returns their names."""
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "document"}
    for number, block in enumerate(blocks(document, "python")):
        exec(compile(block, f"{name(document)}, block {number}", "exec"), names)
    return names


def anchors(document: Path) -> set[str]:
    """Returns the anchors of a document's headings, as GitHub forms them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_to_files_and_headings_that_exist(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            path = (document.parent / file).resolve() if file else document
            assert path.exists(), target
            assert not anchor or anchor in anchors(path), target


def test_the_readme_is_one_screen() -> None:
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) < 110


def test_the_code_of_the_readme_runs_and_its_network_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run(PROJECT / "README.md", tmp_path, monkeypatch)
    noise = torch.randn(200, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    answers = sq.load_compressed("small.safetensors").module(noise).argmax(1)
    assert torch.equal(answers, names["small"].module(noise).argmax(1))
    assert len(answers.unique()) > 1


def test_the_code_of_the_python_page_runs_and_its_networks_are_alive(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    test_images: sq.ImageSet,
    training_images: sq.ImageSet,
) -> None:
    names = run(PROJECT / "docs" / "python.md", tmp_path, monkeypatch)
    printed = capsys.readouterr().out
    assert all(f"\n{layer} " in printed for layer in ("embedding", "lstm.weight_ih_l0", "lstm.weight_hh_l0", "head"))
    assert names["after"].accuracy > 0.7
    assert len(test_images) == names["after"].total
    assert names["lineage"].images == training_images[:3000].fingerprint
    assert names["lineage"].after.accuracy > names["lineage"].before.accuracy
    for network in (names["reader"], names["network"]):
        answers = network(names["words"][1500:]).argmax(1)
        assert (answers == names["labels"][1500:]).float().mean() > 0.8
        assert len(answers.unique()) == 2
    assert {path.name for path in tmp_path.iterdir()} >= {"small.safetensors", "small.onnx", "small.int8.onnx"}


def commands() -> Iterator[str]:
    """Returns every `python -m compression …` of the documents, without options in brackets."""
    for document in DOCUMENTS:
        for line in document.read_text(encoding="utf-8").splitlines():
            for command in re.findall(r"python -m compression ([^`#|]+)", line):
                if not command.startswith("--help"):
                    yield re.sub(r"\[[^\]]*\]", "", command).strip()


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_commands_in_the_documents_are_understood(command: str) -> None:
    """The parser ends the process if it does not know the command."""
    parser().parse_args(shlex.split(command.replace("NAME", "resnet20")))


def test_benchmarks_in_the_documents_exist() -> None:
    texts = "".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    modules = set(re.findall(r"-m (benchmarks\.[\w.]+\w)", texts))
    assert modules
    assert all((PROJECT / module.replace(".", "/")).with_suffix(".py").is_file() for module in modules)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_paths_of_the_code_in_the_documents_exist(document: Path) -> None:
    for path in re.findall(r"`((?:compression|pages|tests|benchmarks)/[\w/.]+)`", document.read_text(encoding="utf-8")):
        assert (PROJECT / path).exists(), path


@pytest.mark.parametrize("claim", [claim for claim in claims() if not claim.slow], ids=lambda claim: claim.row)
def test_figures_that_take_no_long_computing_are_right(claim: Claim) -> None:
    assert not list(mistakes(claim))


def test_a_figure_is_found_in_its_row_up_to_its_noise() -> None:
    row = "| the file of x | 117,734 bytes, 9.2 times smaller |"
    assert Figure(117734).stands_in(row)
    assert not Figure(117735).stands_in(row)
    assert Figure(9.23, 1).stands_in(row)
    assert not Figure(9.31, 1).stands_in(row)
    assert Figure(117000, noise=1000).stands_in(row)
