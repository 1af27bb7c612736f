"""The settings as one value: their link, the spec that they select, and their history."""

from dataclasses import fields, replace
from itertools import pairwise, permutations
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from streamlit.testing.v1 import AppTest

from compression.inside.saliency import Method
from compression.paths import PROJECT
from compression.spec import ActivationSpec, CompressionSpec, LayerSpec, PruneSpec, QuantSpec
from compression.spec.grid import GRID_BITS, grid, prune_specs
from pages.ui.frame.frame import MENU
from pages.ui.state import link, session, specs
from pages.ui.state.value import Settings

# One value for each setting that is not its default. Together they are what the longest link can say.
CHANGED = Settings(
    model="simple_cnn",
    bits="5",
    scheme=specs.Scheme.AFFINE,
    granularity=specs.Granularity.GROUP,
    step=0.05,
    clip=specs.Clip.STDS,
    percentile_at=99.0,
    stds_at=2.5,
    means_at=4.5,
    group=128,
    only="conv",
    ends=True,
    inputs="6",
    calibration=link.Calibration.KL,
    structure="filter",
    criterion=specs.Criterion.L2,
    by="threshold",
    sparsity=0.35,
    threshold=0.0123456789,
    unit=specs.Unit.MEANS,
    scope=link.Scope.LAYER,
    rival="random",
    fold=True,
    order=specs.Order.QUANTIZE_FIRST,
    merge=0.25,
    reestimate=True,
    rounding=link.Rounding.COMPENSATED,
    rate_penalty=0.7,
    reconstruct=True,
    repair=True,
    correct_bias=True,
    equalize=True,
    vector_format=link.VectorFormat.BFLOAT16,
    epochs=0.5,
    scales=link.Quantizers.FROZEN,
    gradual=link.SparsitySchedule.CUBIC,
    bits_first="32",
    distillation=0.3,
    bit_penalty=0.1,
    teacher="vgg",
    optimizer=link.Optimizer.ADAM,
    rate_schedule=link.RateSchedule.COSINE,
    weight_penalty=link.WeightPenalty.L1,
    learning_rate=0.005,
    precision=link.Precision.BFLOAT16,
    training_seed=7,
    layers="conv1:8,fc1:2/0.5",
    scan="sparsity",
    layer="conv2",
    chart="Confusion",
    channel=3,
    left_scheme=specs.Scheme.AFFINE,
    left_clip=specs.Clip.KL,
    left_granularity=specs.Granularity.CHANNEL,
    right_scheme=specs.Scheme.TERNARY,
    right_clip=specs.Clip.LAPLACE,
    right_granularity=specs.Granularity.CHANNEL,
    card_fold=False,
    card_bits="6",
    present=True,
    frozen="bits=6&sparsity=0.3",
    section="Confidence",
    flips="Won",
    true_class="cat",
    matrix=link.Matrix.AFTER,
    cell="3-5",
    gallery=2,
    picture=4211,
    explanation=Method.OCCLUSION,
    images=2000,
    threads="2",
    fewer_filters=True,
    view="Compare",
    also=("cnn3",),
    drop=2.5,
    budget="120 kB",
    axis_from_zero=True,
    pins=("simple_cnn:12345678",),
    goal="a file size",
    goal_drop=2.0,
    goal_kilobytes=80,
    sweep_networks=("simple_cnn", "cnn3"),
    sweep_bits=("float", "3"),
    sweep_schemes=(specs.Scheme.AFFINE, specs.Scheme.BINARY),
    sweep_granularities=(),
    sweep_sparsities=(0.0, 0.55),
)
SPECS = [
    *grid("simple_cnn", GRID_BITS, prune_specs((0.0, 0.3))),
    CompressionSpec("simple_cnn", PruneSpec(0.1, unit="stds"), QuantSpec(4, "affine", "tensor", "laplace")),
    CompressionSpec("simple_cnn", PruneSpec(structure="n:m", pattern=(1, 4)), activations=ActivationSpec(12, "kl")),
    CompressionSpec("simple_cnn", PruneSpec(0.2, structure="filter", criterion="l2"), layers=(LayerSpec("fc1", 3),)),
    CompressionSpec("resnet20", PruneSpec(sparsity=1.0, scope="layer"), QuantSpec(8, clip="percentile", clip_at=60)),
    CompressionSpec("resnet20", weights=QuantSpec(16, "step", step=1e-4), fold_bn=True, merge=0.95),
    CompressionSpec("resnet20", weights=QuantSpec(4, "k-means", "group", group_size=4096), reestimate_bn=True),
    CompressionSpec("resnet20", weights=QuantSpec(3), fold_bn=True, rounding="learned", equalize=True),
    CompressionSpec("resnet20", weights=QuantSpec(8), rounding="rate-aware", rate_penalty=0.54),
    CompressionSpec("resnet20", fold_bn=True, vector_format="int8"),
    CompressionSpec("vgg", PruneSpec(sparsity=0.8), reconstruct=True, repair_activations=True, correct_bias=True),
    CompressionSpec("resnet20", layers=(LayerSpec("a/b,c:d", 32, 1 / 3),)),
]


def parsed(settings: Settings) -> dict[str, list[str]]:
    return {key: [text] for key, text in link.parameters(settings).items()}


def test_every_setting_has_a_reader_and_another_value_here():
    names = {field.name for field in fields(Settings)}
    assert names == set(link.READERS)
    assert link.parameters(CHANGED).keys() == names


def test_a_link_says_nothing_but_what_differs_from_the_defaults():
    assert link.parameters(Settings()) == {}
    assert link.parameters(Settings(bits="4", layer="conv1")) == {"bits": "4", "layer": "conv1"}


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_a_link_brings_back_each_setting(name):
    settings = replace(Settings(), **{name: getattr(CHANGED, name)})
    assert link.read(parsed(settings)) == (settings, ())


def test_a_link_brings_back_all_settings_at_once():
    assert link.read(parsed(CHANGED)) == (CHANGED, ())


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_the_settings_of_a_spec_select_it_also_after_a_link(spec):
    settings = specs.with_spec(CHANGED, spec)
    assert specs.spec_of(settings) == spec
    assert specs.spec_of(link.read(parsed(settings))[0]) == spec


def test_a_spec_that_no_widget_can_show_is_refused():
    seeded = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5, criterion="random", seed=1))
    with pytest.raises(ValueError, match="no widget shows"):
        specs.with_spec(Settings(), seeded)


def test_the_clipping_range_takes_effect_where_rate_aware_rounding_does_not():
    chosen = Settings(bits="4", clip=specs.Clip.LAPLACE, rounding=link.Rounding.RATE_AWARE, fold=True)
    assert specs.spec_of(chosen).weights.clip is specs.Clip.FULL
    last = replace(chosen, order=specs.Order.QUANTIZE_FIRST)
    assert specs.spec_of(last).weights.clip is specs.Clip.LAPLACE


def test_what_the_other_settings_rule_out_comes_back_when_they_are_taken_back():
    by_filter = Settings(structure="filter", criterion=specs.Criterion.BN_SCALE, sparsity=0.5)
    by_weight = replace(by_filter, structure="weight")
    assert specs.spec_of(by_weight).prune == PruneSpec(sparsity=0.5)
    assert specs.spec_of(replace(by_weight, structure="filter")) == specs.spec_of(by_filter)


WORDS = some.one_of(
    some.sampled_from(["", "float", "4", "1", "true", "0.5", "1e400", "nan", "-1", "conv1:8/0.5", "2:4", "9:1", "l2"]),
    some.sampled_from([text for texts in parsed(CHANGED).values() for text in texts]),
    some.text(max_size=20),
)
KEYS = some.one_of(some.sampled_from(sorted(link.READERS)), some.text(max_size=8))
LINKS = some.dictionaries(KEYS, WORDS, max_size=9)


@settings(max_examples=2_000, deadline=None)
@given(LINKS)
def test_any_link_selects_a_spec_and_is_used_or_reported(parameters):
    chosen, rejected = link.read({key: [text] for key, text in parameters.items()})
    assert isinstance(specs.spec_of(chosen), CompressionSpec)
    assert {each.key for each in rejected} <= parameters.keys()
    assert all(each.known == (each.key in link.READERS or each.key in link.RENAMED) for each in rejected)
    assert link.read(parsed(chosen)) == (chosen, ())


def explore(**parameters: str) -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    page.query_params.update({"model": "simple_cnn"} | parameters)
    page.run()
    assert not page.exception
    return page


def test_steps_are_undone_and_done_again_and_the_address_follows():
    page = explore()
    page.select_slider(key="bits").set_value("4").run()
    page.selectbox(key="scheme").set_value("affine").run()
    assert page.query_params == {"model": "simple_cnn", "bits": "4", "scheme": "affine"}
    page.button(key="Undo").click().run()
    assert page.query_params == {"model": "simple_cnn", "bits": "4"}
    assert page.selectbox(key="scheme").value == "symmetric"
    page.button(key="Undo").click().run()
    assert page.button(key="Undo").disabled
    page.button(key="Redo").click().run()
    page.button(key="Redo").click().run()
    assert page.query_params == {"model": "simple_cnn", "bits": "4", "scheme": "affine"}
    assert page.button(key="Redo").disabled
    page.button(key="Reset").click().run()
    assert page.query_params == {"model": "simple_cnn"}
    page.button(key="Undo").click().run()
    assert page.select_slider(key="bits").value == "4"


def test_layers_of_a_network_come_back_with_it():
    page = explore(layers="conv1:8,fc1:4")
    page.selectbox(key="model").set_value("cnn3").run()
    assert page.query_params == {"model": "cnn3"}
    page.selectbox(key="model").set_value("simple_cnn").run()
    assert page.query_params == {"model": "simple_cnn", "layers": "conv1:8,fc1:4"}


@pytest.mark.parametrize("behind", ["8", "6", "5"])
def test_a_link_of_the_menu_that_is_behind_a_drag_does_not_take_it_back(behind, monkeypatch):
    monkeypatch.setattr(session, "ONE_STEP_SECONDS", 60.0)
    page = explore(bits="8")
    for bits in ("6", "5", "4"):
        page.select_slider(key="bits").set_value(bits).run()
        page.run()  # after a slider, AppTest knows no more than what the slider has redrawn
    page.query_params["bits"] = behind
    page.switch_page("pages/layers.py").run()
    assert page.query_params == {"model": "simple_cnn", "bits": "4"}
    page.query_params["scheme"] = "affine"  # which the drag has not changed
    page.switch_page("app.py").run()
    assert page.query_params == {"model": "simple_cnn", "bits": "4", "scheme": "affine"}


def tour() -> list[str]:
    """A way through the pages that takes every ordered pair of two different pages once."""
    paths = [path for path, *_ in MENU]
    remaining = {path: [other for other in paths if other != path] for path in paths}
    way, stack = [], [paths[0]]
    while stack:
        if remaining[stack[-1]]:
            stack.append(remaining[stack[-1]].pop())
        else:
            way.append(stack.pop())
    return way[::-1]


def test_the_tour_takes_every_pair():
    assert sorted(pairwise(tour())) == sorted(permutations([path for path, *_ in MENU], 2))


def test_from_each_page_to_each_other_all_settings_stay_and_all_links_of_the_menu_say_them():
    parameters = link.parameters(CHANGED)
    page = explore(**parameters)
    for path in tour()[1:]:
        page.switch_page(path).run()
        assert not page.exception
        assert not page.toast
        assert page.query_params == parameters, path
        links = {
            each.proto.label: dict(parse_qsl(each.proto.query_string, keep_blank_values=True))
            for each in page.sidebar.get("page_link")
        }
        assert links.keys() >= {label for _, label, _ in MENU}
        assert all(each == parameters for each in links.values()), path


PATHS = ["quantization", "pruning", "layers", "tradeoffs", "deploy", "networks", "checkpoint", "guide"]


@pytest.mark.parametrize("path", PATHS)
def test_a_visit_changes_no_setting(path):
    page = explore(bits="4", layer="fc1")
    page.switch_page(f"pages/{path}.py").run()
    assert not page.exception
    assert page.query_params == {"model": "simple_cnn", "bits": "4", "layer": "fc1"}
    page = explore()
    page.switch_page(f"pages/{path}.py").run()
    assert page.query_params == {"model": "simple_cnn"}
