"""The settings in the popover of Explore: each does what `compression` does with it, and is said beside the button."""

import pytest
from streamlit.testing.v1 import AppTest

from compression.core.compress import compress
from compression.core.record import bit_operations
from compression.core.training_evidence import evidence_for
from compression.errors import DataMissing
from compression.networks.bundled import load_bundled
from compression.networks.macs import layer_macs
from compression.paths import PROJECT
from compression.spec import ActivationSpec, CompressionSpec, PruneSpec, QuantSpec
from pages.ui import wording
from pages.ui.state import link
from pages.ui.state.specs import with_spec
from pages.ui.state.value import Settings
from tests.pages.test_app import metrics
from tests.support.sizes import size_texts

SPEC = CompressionSpec(
    "simple_cnn",
    PruneSpec(structure="n:m"),
    QuantSpec(4, "affine", "tensor", "laplace"),
    activations=ActivationSpec(8, "kl"),
)


def nothing(*_: object) -> None:
    raise DataMissing("there are no CIFAR-10 train images here")


def link_of(spec: CompressionSpec) -> dict[str, str]:
    return link.parameters(with_spec(Settings(), spec)) | {"model": spec.model}


def opened(**parameters: str) -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    for key, value in ({"model": "simple_cnn"} | parameters).items():
        page.query_params[key] = value
    return page.run()


def test_a_link_of_a_spec_opens_on_that_spec():
    page = opened(**link_of(SPEC))
    model = load_bundled("simple_cnn")
    compressed = compress(model.module, SPEC, evidence_for(model, SPEC))
    shown = metrics(page)
    assert shown["File size"] in size_texts(compressed)
    assert shown["Sparsity"] == wording.percent(compressed.sparsity)
    assert shown["Bit operations"] == wording.quantity(
        bit_operations(compressed, layer_macs(model.module, model.example))
    )
    (line,) = [caption.value for caption in page.caption if caption.value.startswith("With ")]
    assert line == "With clipping range laplace, 8-bit activations (kl), 2:4 pruning"


RECOVERY = {"repair": "true", "correct_bias": "true", "equalize": "true", "reconstruct": "true"}


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"bits": "3", "rounding": "compensated", "sparsity": "0.5", "fold": "true", **RECOVERY},
            "compensated rounding, remaining weights moved, spread of channels restored, mean of channels restored, "
            "channels equalized",
        ),
        ({"rounding": "learned", **RECOVERY}, "spread of channels restored, mean of channels restored"),
        ({"bits": "3", "rounding": "learned", "fold": "true", "order": "quantize-first"}, "folding after quantization"),
    ],
    ids=["all", "nothing is rounded or pruned or folded", "folded last"],
)
def test_the_line_names_the_steps_of_recovery_that_take_effect(parameters, words):
    page = opened(model="resnet20", **parameters)
    assert not page.exception
    assert [caption.value for caption in page.caption if caption.value.startswith("With ")] == [f"With {words}"]


def test_rate_aware_rounding_has_a_penalty_and_exists_for_the_scheme_symmetric():
    page = opened(model="simple_cnn", bits="8", rounding="rate-aware", rate_penalty="0.55", clip="laplace")
    assert page.select_slider(key="rate_penalty").value == 0.55
    page.select_slider(key="rate_penalty").set_value(1.0).run()
    assert not page.exception
    (line,) = [caption.value for caption in page.caption if caption.value.startswith("With ")]
    assert line.startswith("With rate-aware rounding, rate penalty 1")
    page = opened(model="simple_cnn", bits="8", scheme="affine", rounding="rate-aware", rate_penalty="0.55")
    assert not page.exception
    assert "rate_penalty" not in {each.key for each in page.select_slider}
    (line,) = [caption.value for caption in page.caption if caption.value.startswith("With ")]
    assert "compensated rounding" in line


def test_filters_are_pruned_as_a_whole():
    page = opened(sparsity="0.5", structure="filter", criterion="l2")
    model = load_bundled("simple_cnn")
    spec = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5, structure="filter", criterion="l2"))
    assert metrics(page)["Sparsity"] == wording.percent(compress(model.module, spec).sparsity)
    assert page.segmented_control(key="by").options == ["sparsity", "threshold"]


def test_random_scores_have_no_threshold():
    page = opened(by="threshold", threshold="0.5", sparsity="0.25", criterion="random")
    assert page.segmented_control(key="by").options == ["sparsity"]
    assert page.slider(key="sparsity").value == 0.25


def test_what_needs_training_images_says_so_where_there_are_none(monkeypatch):
    monkeypatch.setattr("compression.core.training_evidence.training_sample", nothing)
    page = opened(model="resnet20", reestimate="true")
    assert not page.exception
    assert "training images" in page.info[0].value
    page.toggle(key="reestimate").set_value(False).run()
    assert metrics(page)["Sparsity"] == wording.percent(0)


@pytest.mark.parametrize(
    "spec",
    [
        CompressionSpec("resnet20"),
        SPEC,
        CompressionSpec("resnet20", weights=QuantSpec(16, "step", step=0.04, skip_ends=True)),
        CompressionSpec("resnet20", weights=QuantSpec(4, "affine", "group", "stds", 2.5, 128, only="conv")),
        CompressionSpec("resnet20", PruneSpec(0.02), fold_bn=True, order="quantize-first", weights=QuantSpec(4)),
        CompressionSpec("resnet20", PruneSpec(sparsity=0.25, scope="layer"), merge=0.25, fold_bn=True),
        CompressionSpec("resnet20", PruneSpec(sparsity=0.25, criterion="taylor"), reestimate_bn=True),
    ],
    ids=["float", "many", "step", "groups", "order", "merged", "reestimated"],
)
def test_a_link_of_a_spec_sets_every_widget(spec: CompressionSpec):
    page = opened(**link_of(spec))
    assert not page.exception
    model = load_bundled(spec.model)
    compressed = compress(model.module, spec, evidence_for(model, spec))
    assert metrics(page)["File size"] in size_texts(compressed)
    drawn = {key: value for key, value in link_of(spec).items() if key in page.session_state}
    assert drawn.keys() >= {"model", "fold", "inputs", "structure"} & link_of(spec).keys()
    for key, value in drawn.items():
        state = page.session_state[key]
        same = float(value) == float(state) if isinstance(state, float) else value == str(state).lower()
        assert same, key
