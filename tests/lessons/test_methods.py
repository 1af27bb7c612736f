"""Every method has a complete explanation, and docstrings with missing or misspelt parts are refused."""

from enum import StrEnum

import pytest

from compression.lessons.methods import METHODS, Explanation, explanation, parse_docstring
from compression.spec import Clip, Rounding, Scheme

MEMBERS = [member for enum in METHODS for member in enum]
name = lambda member: f"{type(member).__name__}-{member}"


def test_the_parts_of_a_docstring_on_paper() -> None:
    docstring = (
        "What it does,\nand why.\n\nFormula: a \\cdot\n    b\nSource: Somebody.\nFails: never: almost.\n\nShapes: one."
    )
    assert parse_docstring(docstring) == Explanation(
        "What it does, and why.", r"a \cdot b", "Somebody.", "never: almost."
    )


@pytest.mark.parametrize("member", MEMBERS, ids=name)
def test_every_method_has_a_complete_explanation(member: StrEnum) -> None:
    parts = explanation(member)
    assert parts.text[0].isupper()
    assert parts.text.endswith(".")
    assert parts.source.endswith(".")
    assert parts.fails.endswith(".")
    assert "\\" not in parts.text + parts.source + parts.fails  # LaTeX stands in the formula alone
    assert "\t" not in parts.formula + parts.text  # "\text" becomes a tab in a docstring that is not raw
    assert parts.formula.count("{") == parts.formula.count("}")


def test_every_scheme_range_and_rounding_has_a_function() -> None:
    assert {*Scheme, *Clip} <= set(MEMBERS)
    assert [set(METHODS[enum]) for enum in (Scheme, Clip, Rounding)] == [set(Scheme), set(Clip), set(Rounding)]


def test_no_two_methods_have_the_same_text() -> None:
    assert len({explanation(member).text for member in MEMBERS}) == len(MEMBERS)


@pytest.mark.parametrize(
    "docstring",
    [
        "",
        "Text alone.",
        "Text.\n\nFormula: a\nSource: b",
        "Text.\n\nFormula: a\nSource: b\nFails: ",
        "Text.\n\nSource: b\nFormula: a\nFails: c",
        "Text.\n\nFormula: a\nSauce: b\nFails: c",
    ],
)
def test_parts_that_are_missing_or_misspelt_are_refused(docstring: str) -> None:
    with pytest.raises(ValueError, match="the parts must be text, formula, source, fails, in this order"):
        parse_docstring(docstring)
