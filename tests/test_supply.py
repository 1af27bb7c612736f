"""What is installed is what is listed: every package pinned, with hashes, for every supported Python, and licensed."""

import ast
import re

from compression.paths import PROJECT
from docs.lock import LICENCES, LISTED, LOCKED, licences, pins


def entries() -> list[str]:
    """Returns the requirements of the lock file, each with its marker and its hashes."""
    return LOCKED.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()


def test_the_lock_file_has_every_listed_package_in_the_listed_version() -> None:
    locked = pins(LOCKED)
    assert len(locked) > 2 * len(pins(LISTED))  # those that the listed ones need, too
    for name, versions in pins(LISTED).items():
        assert locked[name] == versions


def test_every_locked_package_has_hashes() -> None:
    for entry in entries():
        assert re.match(r"^[a-z0-9._-]+==\S+", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}(\s|$)", entry), entry


def test_two_versions_of_a_package_exclude_each_other() -> None:
    markers: dict[str, list[str]] = {}
    for entry in entries():
        requirement, _, marker = entry.partition("--hash")[0].partition(";")
        markers.setdefault(requirement.partition("==")[0], []).append(marker.strip())
    for name, each in markers.items():
        assert len(each) == 1 or (len(set(each)) == len(each) and all("python_full_version" in m for m in each)), name


def test_no_file_of_requirements_names_an_address() -> None:
    for path in (LISTED, LOCKED, PROJECT / "tests" / "requirements.txt"):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text
        assert "index-url" not in text


def test_the_licences_are_those_of_the_locked_packages() -> None:
    rows = [line.split(" | ") for line in LICENCES.read_text(encoding="utf-8").splitlines() if "==" not in line]
    table = {row[0].removeprefix("| "): set(row[1].split(", ")) for row in rows if len(row) == 3}
    del table["package"]
    assert table == pins(LOCKED)
    assert licences().count("\n") == LICENCES.read_text(encoding="utf-8").count("\n")


def test_only_the_export_of_float_networks_needs_onnxscript() -> None:
    """torch.onnx.export imports it when it is called, and no module of this project does."""
    callers = set()
    for path in (PROJECT / "compression").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "onnxscript" not in text
        calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
        callers |= {path.name for call in calls if ast.unparse(call.func) == "torch.onnx.export"}
    assert callers == {"float_onnx.py"}
