"""An accuracy is dimmed from a move on until it is that of the settings that were moved."""

import re
from collections.abc import Iterator
from typing import Any

from streamlit.testing.v1 import AppTest

from compression.paths import PROJECT
from compression.spec import CompressionSpec, QuantSpec
from pages.ui.accuracy.outdated import OPACITY, START, name_of


def undimmed(page: AppTest) -> str:
    """Returns the name of the only accuracy that the page does not dim."""
    assert not page.exception
    rules = [re.search(r":not\(\.st-key-(\S+)\) \{ opacity: (\S+); \}", each.proto.body) for each in page.get("html")]
    (rule,) = filter(None, rules)
    assert float(rule[2]) == OPACITY
    return rule[1]


def owner(page: AppTest) -> str:
    """Returns the name that the accuracy of the page carries."""

    def owners(block: Any, name: str | None = None) -> Iterator[str | None]:
        name = getattr(getattr(block, "proto", None), "id", "") or name
        if getattr(block, "label", None) == "Accuracy":
            yield name
        for child in getattr(block, "children", {}).values():
            yield from owners(child, name)

    (name,) = owners(page.main)
    assert name is not None
    return START + name.partition(START)[2]


def test_only_the_accuracy_of_the_settings_of_now_is_not_dimmed() -> None:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    page.query_params["model"] = "simple_cnn"
    page.run()
    assert undimmed(page) == owner(page) == name_of(CompressionSpec("simple_cnn"))
    page.select_slider(key="bits").set_value("4").run()
    assert undimmed(page) == owner(page) == name_of(CompressionSpec("simple_cnn", weights=QuantSpec(4)))
