"""What the tests of searches share."""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory


@pytest.fixture(scope="package", autouse=True)
def migrations_once() -> Iterator[None]:
    """Optuna's migrations are read once for all files that are opened: that takes longer than all that is tested."""
    from alembic.script import ScriptDirectory  # takes a second, in whatever process collects

    from_config = ScriptDirectory.from_config
    folders: dict[str | None, Config] = {}
    at = cache(lambda place: from_config(folders[place]))

    def read(config: "Config") -> "ScriptDirectory":
        place = config.get_main_option("script_location")
        folders[place] = config
        return at(place)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", read)
        yield
