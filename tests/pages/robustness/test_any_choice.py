"""Whatever is chosen in the widgets of a page, it gives an answer or a sentence."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import ButtonGroup, Multiselect, NumberInput, Selectbox, SelectSlider, Slider

from compression.spec import (
    AUTOMATIC_SCHEMES,
    GROUP_SIZES,
    Calibration,
    Clip,
    CompressionSpec,
    Criterion,
    Granularity,
    Only,
    Order,
    Rounding,
    Scheme,
    Scope,
    Unit,
)
from pages.ui.compute import compressed
from pages.ui.state import specs
from pages.ui.state.link import SWEEP_BITS, SWEEP_SPARSITIES, VIEWS
from pages.ui.state.value import ALL, FLOAT, SPARSITY, THRESHOLD, Settings
from pages.ui.tradeoffs import sweep
from tests.pages.robustness.test_any_link import PATHS, opened
from tests.support.pairs import Pairs

STEPS = 4
NETWORKS = ("simple_cnn", "cnn3")
PLACES = [(path, {}) for path in PATHS if "tradeoffs" not in path] + [
    ("pages/tradeoffs.py", {"view": view}) for view in VIEWS
]
# What decides a spec, with all members of each enum, and the ends and a middle of each range.
OPTIONS: dict[str, tuple[Hashable, ...]] = {
    "bits": (FLOAT, "1", "4", "16"),
    "scheme": tuple(Scheme),
    "granularity": tuple(Granularity),
    "step": (1e-30, 0.02, 1e30),
    "clip": tuple(Clip),
    "percentile_at": (50.01, 100.0),
    "stds_at": (0.01, 1000.0),
    "means_at": (0.01, 1000.0),
    "group": (GROUP_SIZES[0], GROUP_SIZES[-1]),
    "only": (ALL, *Only),
    "ends": (False, True),
    "inputs": (FLOAT, "2", "8", "16"),
    "calibration": tuple(Calibration),
    "structure": ("weight", "filter", "1:4", "2:4"),
    "criterion": tuple(Criterion),
    "by": (SPARSITY, THRESHOLD),
    "sparsity": (0.0, 0.5, 1.0),
    "threshold": (0.0, 0.02, 1e9),
    "unit": tuple(Unit),
    "scope": tuple(Scope),
    "fold": (False, True),
    "order": tuple(Order),
    "merge": (0.0, 0.99),
    "reestimate": (False, True),
    "rounding": tuple(Rounding),
    "reconstruct": (False, True),
    "repair": (False, True),
    "correct_bias": (False, True),
    "equalize": (False, True),
    "layers": ("", "conv1:8,fc1:2/0.5", "conv2:32/1", "fc2:2"),
}


def test_every_pair_of_settings_gives_a_network_or_a_sentence():
    for row in Pairs("settings").rows(OPTIONS):
        problem = compressed.problem(specs.spec_of(Settings("simple_cnn", **row)))
        assert problem is None or problem.endswith("."), row


@pytest.mark.parametrize("scheme", AUTOMATIC_SCHEMES)
def test_a_sweep_measures_what_is_possible_and_says_what_is_not(scheme):
    for granularity in Granularity:
        settings = Settings(sweep_bits=SWEEP_BITS, sweep_schemes=(scheme,), sweep_granularities=(granularity,))
        measured, impossible = sweep._specs(["simple_cnn"], settings)
        widths = {spec.weights.bits for spec in measured if spec.weights}
        assert widths == set(scheme.bits)
        has_choice = len(scheme.bits) > 1
        assert len(impossible) == (has_choice and widths != {int(bits) for bits in SWEEP_BITS if bits != FLOAT})
        for bits in SWEEP_BITS:
            few, sentences = sweep._specs(["simple_cnn"], replace(settings, sweep_bits=(bits,)))
            assert bool(sentences) == (has_choice and bits != FLOAT and int(bits) not in scheme.bits)
            assert CompressionSpec("simple_cnn") in few


def test_one_bit_with_the_symmetric_scheme_is_a_sentence_in_sweep(test_images):
    page = opened("pages/tradeoffs.py", view="Sweep")
    page.multiselect(key="sweep_bits").set_value(["4", "1"]).run()
    assert not page.exception
    assert any("Symmetric weights take 2 to 16 bits, not 1." in each.value for each in page.markdown)


def test_what_a_sweep_combines_is_in_the_link_and_survives_other_pages():
    page = opened("pages/tradeoffs.py", view="Sweep")
    page.multiselect(key="sweep_bits").set_value(["3"])
    page.multiselect(key="sweep_sparsities").set_value([0.55]).run()
    page.run()
    assert page.query_params["sweep_bits"] == "3"
    assert page.query_params["sweep_sparsities"] == "0.55"
    page.switch_page("app.py").run()
    page.switch_page("pages/tradeoffs.py").run()
    assert page.multiselect(key="sweep_bits").value == ["3"]
    page.button(key="Undo").click().run()
    page.button(key="Undo").click().run()
    assert page.multiselect(key="sweep_bits").value == ["float", "8", "6", "5", "4", "3", "2"]


@pytest.mark.parametrize(("path", "parameters"), PLACES, ids=str)
def test_choices_that_cover_new_pairs_give_an_answer(path, parameters):
    page, pairs = opened(path, **parameters), Pairs(path)
    for _ in range(STEPS):
        widgets = {f"{each.type} {each.key or each.label}": each for each in _widgets(page)}
        row = pairs.next_row({name: _options(each) for name, each in widgets.items()})
        if row is None:
            return
        for name, value in row.items():
            widgets[name].set_value(list(value) if isinstance(value, tuple) else value)
        page.run()
        assert not page.exception, row


def _widgets(page: AppTest) -> list[Any]:
    """Returns the widgets that can be changed. An upload and the buttons are not choices."""
    kinds = (
        "selectbox",
        "multiselect",
        "button_group",
        "slider",
        "select_slider",
        "number_input",
        "toggle",
        "checkbox",
    )
    return [each for kind in kinds for each in page.get(kind) if not each.proto.disabled]


def _options(widget: Any) -> tuple[Hashable, ...]:
    """Returns what can be chosen: all options, or the ends and the value of a range."""
    if widget.key in ("model", "also"):
        options: tuple[Hashable, ...] = NETWORKS
    elif widget.key == "sweep_sparsities":
        options = SWEEP_SPARSITIES[:3]
    elif isinstance(widget, Selectbox | Multiselect | ButtonGroup | SelectSlider):
        options = tuple(widget.options)
    elif isinstance(widget, Slider | NumberInput):
        return tuple(dict.fromkeys((widget.min, widget.value, widget.max)))
    else:
        return (False, True)
    return ((), *((each,) for each in options), options) if isinstance(widget, Multiselect) else options
