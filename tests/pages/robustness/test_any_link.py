"""Links are input of strangers: whatever one says, a page gives an answer or a sentence."""

import random

import pytest
from streamlit.testing.v1 import AppTest

from compression.paths import PROJECT
from pages.ui.state import link
from tests.pages.test_state import CHANGED

PATHS = ("app.py", *(f"pages/{path.name}" for path in sorted(PROJECT.glob("pages/*.py"))))
TEXTS = sorted({*link.parameters(CHANGED).values()} - {"simple_cnn"})
ODD = [
    "",
    " ",
    "x",
    "-1",
    "0",
    "1",
    "1e400",
    "nan",
    "²",
    "²:4",
    "9:1",
    "2:65",
    "true",
    ",",
    ":",
    "%",
    "\0",
    "`",
    "💥",
    "a" * 300,
]


def opened(path: str, **parameters: str) -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    page.query_params.update({"model": "simple_cnn"} | parameters)
    return page.switch_page(path).run()


def some_link(chance: random.Random) -> dict[str, str]:
    """Returns a link of some parameters, each with its own other value, one of another parameter, or an odd one."""
    names = chance.sample(sorted({*link.READERS, "", "x", "bytes"} - {"model"}), chance.randint(1, 12))
    own = link.parameters(CHANGED)
    return {name: chance.choice([own.get(name, ""), chance.choice(TEXTS), chance.choice(ODD)]) for name in names}


@pytest.mark.parametrize("path", PATHS)
def test_a_link_of_empty_texts_opens_every_page_and_each_is_reported(path):
    empty = dict.fromkeys(link.READERS, "") | {"model": "simple_cnn", "": "x"}
    page = opened(path, **empty)
    assert not page.exception
    assert page.toast


@pytest.mark.parametrize(
    "text",
    ["[win](http://evil.example)", "\n\n![](http://evil.example/a.png)", "`**b**`" * 99],
    ids=("link", "image", "long"),
)
def test_text_from_a_link_is_shown_as_code_and_cut(text):
    (toast,) = opened("app.py", sparsity=text).toast
    around = toast.value.split("`")[::2]
    assert around == ["", " in the link cannot be used. ", ""]
    assert len(toast.value) < 250
    assert "\n" not in toast.value


def test_a_link_that_prunes_all_weights_shows_the_end_of_the_threshold():
    page = opened("app.py", sparsity="1", structure="weight")
    assert not page.exception
    (grey,) = [slider for slider in page.slider if slider.label.startswith("Threshold")]
    assert grey.value == grey.max


@pytest.mark.parametrize("path", PATHS)
def test_random_links_open_every_page(path):
    chance = random.Random(path)
    for _ in range(4):
        parameters = some_link(chance)
        page = opened(path, **parameters)
        assert not page.exception, parameters
