"""Writes requirements.lock, all packages with their hashes, and docs/licences.md, the licences of those packages.

    python -m docs.lock [--licences-only]

`requirements.txt` is the list to read and to change. The lock file has what it needs, too, for every supported Python
and system, so that `pip install --require-hashes -r requirements.lock` installs these files or none. The licences are
those that the packages installed here state of themselves. Needs uv, which tests/requirements.txt lists.
"""

import argparse
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from compression.paths import PROJECT

LISTED, LOCKED, LICENCES = PROJECT / "requirements.txt", PROJECT / "requirements.lock", PROJECT / "docs/licences.md"

OLDEST_PYTHON = "3.11"

LONGEST = 200  # characters of a licence; a longer one is a text and not a name

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.M)

HEAD = """\
# Licences

Squeezelab is under the [licence of the project](../LICENSE). It installs these packages, each under its own licence, as
the package states it. `python -m docs.lock` makes this table from `requirements.lock`. A dash stands for a package that
is not installed where the table was made, because another system or a GPU needs it; its wheel has its licence.

| package | version | licence |
|---|---|---|
"""


def pins(path: Path) -> dict[str, set[str]]:
    """Returns the versions of each package in a requirements file, by its normalised name."""
    versions: dict[str, set[str]] = {}
    for name, version in PIN.findall(path.read_text(encoding="utf-8")):
        versions.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(version)
    return versions


def lock() -> None:
    """Writes the lock file. Addresses of registries are left out of it: pip has its own."""
    options = ("--universal", "--generate-hashes", "--no-header", "--no-annotate", "--quiet")
    command = ["uv", "pip", "compile", LISTED.name, *options, "--python-version", OLDEST_PYTHON, "-o", LOCKED.name]
    subprocess.run(command, cwd=PROJECT, check=True)
    if "://" in LOCKED.read_text(encoding="utf-8"):
        sys.exit(f"{LOCKED.name} names an address; unset the options of uv that put it there")


def licence(name: str) -> str:
    """Returns the licence that an installed package states, or a dash if it is not installed."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return "-"
    classifiers = (each.rpartition(" :: ")[2] for each in about.get_all("Classifier", []) if each.startswith("License"))
    text = about.get("License-Expression") or ", ".join(classifiers) or about.get("License") or "not stated"
    first = text.strip().splitlines()[0]
    return first if len(first) <= LONGEST else "its own text"


def licences() -> str:
    """Returns the content of docs/licences.md."""
    rows = (
        f"| {name} | {', '.join(sorted(versions))} | {licence(name)} |\n" for name, versions in pins(LOCKED).items()
    )
    return HEAD + "".join(rows)


def main() -> None:
    """Writes both files, or with `--licences-only` the second one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--licences-only", action="store_true")
    if not parser.parse_args().licences_only:
        lock()
    LICENCES.write_text(licences(), encoding="utf-8")


if __name__ == "__main__":
    main()
