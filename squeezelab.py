"""Makes `import compression` mean the package of this project, in any program and on any Python.

From Python 3.14 on the standard library has a package `compression` too. A program that has this folder in front of
`sys.path`, such as `python -m compression`, finds the one here, which serves the modules of the standard one as well.
Other programs, such as `streamlit`, `pytest` and Jupyter, import shutil or gzip, and with them the standard package,
before they run code of this project. There this module has to be imported first.
"""

import importlib
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent


def claim_name() -> None:
    """Runs this project's package in the module that is imported as `compression`, unless that is this one already.

    It stays the same module, with the submodules that it had: whoever holds a reference to it sees both packages.
    """
    module = importlib.import_module("compression")
    if Path(module.__file__ or "").resolve().parent != PROJECT / "compression":
        sys.path.insert(0, str(PROJECT))
        importlib.reload(module)


claim_name()
