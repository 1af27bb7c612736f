"""The page Recover: the ladder of the settings of now, and rungs that become settings of all pages."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

from compression.data.cifar10 import CLASSES
from compression.data.images import ImageSet
from compression.engine.cluster import Engine
from compression.engine.recoverer import Recoverer, RecoveryReading
from compression.errors import DataMissing, EngineError
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.reading import Reading
from compression.evaluation.sampling import VisitingOrder
from compression.experiments.ladder import rungs
from compression.experiments.training.run_state import Run
from compression.experiments.training.trainer import Trainer
from compression.library import recovered
from compression.library.recovered import Recovered
from compression.paths import PROJECT
from compression.retraining.lineage import Lineage, Point
from compression.retraining.recipe import Precision, Quantizers, RateSchedule, Recipe, SparsitySchedule
from compression.spec import ActivationSpec, CompressionSpec, Order, PruneSpec, QuantSpec, Rounding
from pages.ui import wording
from pages.ui.accuracy import polling
from pages.ui.charts import accuracy as accuracy_charts
from pages.ui.charts.recover.training import curve
from pages.ui.compute import accuracy, compressed, experiments, images, networks, recovery
from pages.ui.recover import family, recipe, runs
from pages.ui.state.value import Settings
from tests.pages.conftest import until
from tests.pages.test_more_settings import link_of

QUANTIZED = CompressionSpec("simple_cnn", weights=QuantSpec(3))
PRUNED = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5))


def names(spec: CompressionSpec, has_batch_norm: bool = True) -> list[str]:
    return [rung.name for rung in rungs(spec, has_batch_norm)]


def test_a_ladder_has_the_steps_that_the_settings_allow() -> None:
    assert names(CompressionSpec("m")) == ["Compressed"]
    assert names(QUANTIZED) == ["Compressed", "Batch norm", "Bias", "Spread", "Rounding"]
    assert names(PRUNED, has_batch_norm=False) == ["Compressed", "Bias", "Spread", "Survivors"]
    assert names(replace(QUANTIZED, prune=PRUNED.prune, fold_bn=True)) == [
        *("Compressed", "Bias", "Spread", "Survivors", "Rounding")
    ]
    assert names(CompressionSpec("m", activations=ActivationSpec(4)))[1:] == ["Batch norm", "Bias", "Spread"]
    assert names(replace(QUANTIZED, fold_bn=True, order=Order.QUANTIZE_FIRST)) == ["Compressed"]


def test_each_rung_has_the_steps_before_it_and_the_first_has_none() -> None:
    ladder = rungs(replace(QUANTIZED, rounding=Rounding.LEARNED, reestimate_bn=True), has_batch_norm=True)
    assert ladder[0].spec == QUANTIZED
    assert ladder[-1].spec == replace(
        QUANTIZED, reestimate_bn=True, correct_bias=True, repair_activations=True, rounding=Rounding.COMPENSATED
    )


def opened(**link: str) -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    for key, value in {"model": "simple_cnn", **link}.items():
        page.query_params[key] = value
    page.switch_page("pages/recover.py").run()
    assert not page.exception
    return page


def labels(page: AppTest) -> list[str]:
    return [each.label for each in page.button if each.key.startswith("use")]


def test_settings_that_compress_nothing_have_no_ladder(test_images: ImageSet) -> None:
    assert any("These settings compress nothing" in each.value for each in opened().info)


def test_a_rung_becomes_a_setting_of_all_pages(test_images: ImageSet) -> None:
    page = opened(bits="3")
    assert labels(page) == ["In use", "Use", "Use", "Use"]
    page.button(key="use 3").click().run()
    assert not page.exception
    assert labels(page) == ["Use", "Use", "Use", "In use"]
    link = link_of(rungs(QUANTIZED, has_batch_norm=False)[-1].spec)
    expected = {key: link[key] for key in ("model", "bits", "rounding", "repair", "correct_bias")}
    assert {key: page.query_params[key] for key in expected} == expected
    assert any("layer 1 of 4" in each.proto.text for each in page.get("progress"))


def test_the_waterfall_ends_where_the_last_known_rung_does() -> None:
    drawing = accuracy_charts.ladder(["Compressed", "Bias", "Rounding"], 0.9, [0.5, 0.7], "#000000").to_dict()
    bars, numbers = drawing["data"]
    assert drawing["layout"]["xaxis"]["ticktext"] == ["float", "lost", "Bias", "Rounding", "recovered"]
    tops = [base + height for base, height in zip(bars["base"], bars["y"], strict=True)]
    assert bars["x"] == [0, 4, 1, 2]
    assert tops == pytest.approx([0.9, 0.7, 0.5, 0.7])
    assert numbers["text"][:2] == ["90.00\N{NARROW NO-BREAK SPACE}%", "70.00\N{NARROW NO-BREAK SPACE}%"]
    assert len(accuracy_charts.ladder(["Compressed", "Bias"], 0.9, [], "#000000").to_dict()["data"][0]["x"]) == 1


# ---- until the network is there


def reading(spec: CompressionSpec, counted: int) -> Reading:
    rows = torch.arange(4)
    evaluation = Evaluation(torch.zeros(counted, dtype=torch.uint8), torch.zeros(counted).long(), CLASSES, counted, 0.0)
    return Reading(spec, VisitingOrder(rows, torch.zeros(4)), evaluation if counted else None, None)


def test_another_network_stands_in_until_the_first_images_of_the_right_one_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recovered = replace(QUANTIZED, rounding=Rounding.COMPENSATED)
    counted = {recovered: 0, QUANTIZED: 4}
    monkeypatch.setattr(images, "test_images", lambda: object())
    monkeypatch.setattr(polling, "is_stopped", lambda _: False)
    monkeypatch.setattr(accuracy, "look", lambda spec, go, side: reading(spec, counted[spec]))
    first = polling.look(recovered)
    assert isinstance(first, polling.StandIn)
    assert (first.spec, first.exact) == (QUANTIZED, True)
    assert polling.is_counting(first)  # the right one follows
    counted[recovered] = 4
    second = polling.look(recovered)
    assert not isinstance(second, polling.StandIn)
    assert (second.spec, polling.is_counting(second)) == (recovered, False)


def test_sizes_are_those_without_recovery_until_the_network_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    recovered = replace(QUANTIZED, rounding=Rounding.COMPENSATED, correct_bias=True)
    monkeypatch.setattr(recovery, "session_name", lambda: "a")
    assert recovery.present(recovered) == QUANTIZED == recovery.present(QUANTIZED)
    monkeypatch.setattr(Recoverer, "look", lambda *_: RecoveryReading(network=object()))
    assert recovery.present(recovered) == recovered
    monkeypatch.setattr(Recoverer, "look", lambda *_: RecoveryReading(error="there are no images"))
    assert recovery.present(recovered) == QUANTIZED
    assert compressed.problem(recovered) == "There are no images."


@pytest.mark.parametrize("first", [0, 1, 2, 5])
@pytest.mark.parametrize("path", ["app.py", "pages/layers.py"])
def test_a_recovery_that_fails_while_a_page_is_drawn_is_told_at_its_next_run(
    monkeypatch: pytest.MonkeyPatch, path: str, first: int
) -> None:
    """The failure is known from the look number `first` on."""
    looks, failed = itertools.count(), RecoveryReading(error="there are no images")
    monkeypatch.setattr(Recoverer, "look", lambda *_: failed if next(looks) >= first else RecoveryReading())
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    for key, value in link_of(replace(QUANTIZED, rounding=Rounding.COMPENSATED)).items():
        page.query_params[key] = value
    page.switch_page(path).run()
    assert not page.exception
    page.run()
    assert not page.exception
    assert [each.value for each in page.info] == ["There are no images."]


def test_workers_get_the_network_that_the_page_shows_and_nothing_before(monkeypatch: pytest.MonkeyPatch) -> None:
    recovered, network = replace(QUANTIZED, rounding=Rounding.COMPENSATED), object()
    monkeypatch.setattr(recovery, "session_name", lambda: "a")
    assert accuracy._network(recovered, "") is None
    monkeypatch.setattr(Recoverer, "look", lambda *_: RecoveryReading(network=network))
    assert accuracy._network(recovered, "") is network
    monkeypatch.setattr(Recoverer, "look", lambda *_: RecoveryReading(error="there are no images"))
    with pytest.raises(EngineError, match="there are no images"):
        accuracy._network(recovered, "")


def test_files_follow_when_the_network_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    for key, value in link_of(replace(QUANTIZED, rounding=Rounding.COMPENSATED)).items():
        page.query_params[key] = value
    page.switch_page("pages/deploy.py").run()
    assert not page.exception
    assert any(each.value == "The files follow when the network is recovered." for each in page.caption)
    assert not page.get("download_button")


# ---- training

SPARSE = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.9))


def lineage(parent: str, **changes: Any) -> Lineage:
    points = (Point(0, None, 1, 2, 0.0), Point(8, 1.0, 2, 2, 1.0))
    return replace(Lineage(parent, "d", SPARSE, Recipe(), None, 8, 1.0, "i", 1.0, points), **changes)


def family_of(*pairs: tuple[str, str], first: str = "") -> list[tuple[int, str]]:
    here = [Recovered(name, lineage(parent), Path(name), 1, False) for name, parent in pairs]
    return [(depth, each.name) for depth, each in family.tree(here, first)]


def test_the_tree_has_children_below_their_parents_and_orphans_at_the_root() -> None:
    assert family_of(("c", "b"), ("b", "resnet20"), ("a", "vgg"), ("d", "deleted")) == [
        *((0, "d"), (0, "b"), (1, "c"), (0, "a")),
    ]


def test_the_tree_begins_with_the_network_of_now() -> None:
    assert family_of(("b", "resnet20"), ("a", "vgg"), first="vgg") == [(0, "a"), (0, "b")]


def test_a_recipe_has_only_what_concerns_the_network() -> None:
    now = Settings(scales=Quantizers.FROZEN, gradual=SparsitySchedule.CUBIC, epochs=0.5, distillation=0.3)
    pruned = recipe.recipe_of(now, SPARSE)
    assert (pruned.quantizers, pruned.sparsity_schedule) == (Quantizers.LEARNED, SparsitySchedule.CUBIC)
    quantized = recipe.recipe_of(now, QUANTIZED)
    assert (quantized.quantizers, quantized.sparsity_schedule) == (Quantizers.FROZEN, SparsitySchedule.ONE_SHOT)
    assert (quantized.epochs, quantized.distillation, quantized.seed) == (0.5, 0.3, 0)
    penalized = replace(now, bit_penalty=0.1)
    assert (recipe.recipe_of(penalized, SPARSE).bit_penalty, recipe.recipe_of(penalized, QUANTIZED).bit_penalty) == (
        0,
        0.1,
    )
    rewound = replace(now, rate_schedule=RateSchedule.REWOUND)
    assert recipe.recipe_of(rewound, SPARSE).rate_schedule is RateSchedule.LINEAR
    rewound = replace(rewound, gradual=SparsitySchedule.ITERATIVE)
    assert recipe.recipe_of(rewound, SPARSE).rate_schedule is RateSchedule.REWOUND
    more_bits = replace(now, bits_first="32,8,4,3")
    assert recipe.recipe_of(more_bits, QUANTIZED).bit_schedule == ()
    more_bits = replace(more_bits, scales=Quantizers.LEARNED)
    assert recipe.recipe_of(more_bits, SPARSE).bit_schedule == ()
    assert recipe.recipe_of(more_bits, QUANTIZED).bit_schedule == (32, 8, 4)
    four_bits = replace(QUANTIZED, weights=QuantSpec(4))
    assert recipe.recipe_of(more_bits, four_bits).bit_schedule == (32, 8)
    inputs_too = replace(four_bits, activations=ActivationSpec(2))
    assert recipe.recipe_of(more_bits, inputs_too).bit_schedule == (32, 8, 4, 3)
    assert recipe.recipe_of(more_bits, replace(inputs_too, weights=None)).bit_schedule == (32, 8, 4, 3)
    pact = replace(more_bits, scales=Quantizers.PACT, bit_penalty=0.1)
    taken = recipe.recipe_of(pact, QUANTIZED)
    assert (taken.quantizers, taken.bit_schedule, taken.bit_penalty) == (Quantizers.PACT, (), 0.0)
    ternary = replace(QUANTIZED, weights=QuantSpec(2, "ternary"))  # type: ignore[arg-type]
    assert recipe.recipe_of(pact, ternary).quantizers is Quantizers.LEARNED
    two_of_four = replace(SPARSE, prune=PruneSpec(structure="n:m"))  # type: ignore[arg-type]
    assert not recipe.can_be_gradual(two_of_four)


def test_the_teacher_is_by_default_the_float_network_also_of_a_recovered_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        recovered, "all_recovered", lambda data=None: [Recovered("a", lineage("vgg"), tmp_path, 1, False)]
    )
    distilled = Settings(distillation=0.5)
    assert recipe.teacher_of(distilled, "vgg") is None
    assert recipe.teacher_of(distilled, "a") == "vgg"
    assert recipe.teacher_of(replace(distilled, teacher="cnn3"), "a") == "cnn3"
    with pytest.raises(ValueError, match="the teacher 'deleted' is not here"):
        recipe.teacher_of(replace(distilled, teacher="deleted"), "a")
    with pytest.raises(ValueError, match="an untrained network has nothing to teach"):
        recipe.teacher_of(replace(distilled, teacher="untrained:resnet8"), "a")
    assert recipe.teacher_of(Settings(teacher="cnn3"), "a") is None
    monkeypatch.setattr(
        recovered, "all_recovered", lambda data=None: [Recovered("a", lineage("untrained:resnet8"), tmp_path, 1, False)]
    )
    assert recipe.teacher_of(distilled, "a") is None


def test_without_training_images_the_page_says_so_and_offers_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "missing_training_images", lambda: DataMissing("there are none here"))
    page = opened(sparsity="0.9")
    assert any("Training needs the 50,000 training images" in info.value for info in page.info)
    assert page.button("download training images").label == "Download 120 MB"
    assert "training start" not in [button.key for button in page.button]


def test_nothing_can_be_trained_where_nothing_is_compressed() -> None:
    page = opened()
    assert "By training" not in [each.value for each in page.subheader]


def cliff_lines(page: AppTest) -> dict[str, Any]:
    """Returns the lines of the chart of the cliff by name; empty if it is not there."""
    charts = [json.loads(each.proto.spec) for each in page.get("plotly_chart")]
    titles = [chart["layout"].get("title", {}).get("text", "") for chart in charts]
    found = [chart for chart, title in zip(charts, titles, strict=True) if "Accuracy by" in title]
    return {trace["name"]: trace for trace in found[0]["data"]} if found else {}


def test_the_cliff_has_what_was_measured_beforehand_and_what_was_trained() -> None:
    lines = cliff_lines(opened(sparsity="0.9"))
    here = [each for each in recovered.all_recovered() if each.name.startswith("simple_cnn-90-sparse")]
    accuracies = sorted(each.lineage.accuracy or 0 for each in here)
    assert [*lines["trained, not the best"]["y"], *lines["trained"]["y"]] == accuracies
    assert {*lines["trained"]["x"], *lines["trained, not the best"]["x"]} == {0.9}
    fall = dict(zip(lines["compressed"]["x"], lines["compressed"]["y"], strict=True))
    assert fall[0.0] == lines["float"]["y"][0]
    assert fall[0.0] > fall[0.6] > fall[0.9]
    assert lines["trained"]["y"][0] > lines["recovered without training"]["y"][-1] > fall[0.9]


def test_settings_without_a_cliff_and_networks_that_are_trained_already_have_no_chart_of_one() -> None:
    assert not cliff_lines(opened(scheme="binary", bits="1"))
    assert not cliff_lines(opened(model=recovered.gallery_names()[0], bits="4"))
    assert not cliff_lines(opened(model="untrained:resnet8", bits="4"))


def test_an_untrained_network_is_a_student_that_another_network_teaches(training_images: ImageSet) -> None:
    page = opened(model="untrained:resnet8")
    picker = next(each for each in page.selectbox if each.label == "Network")
    assert "resnet8, untrained" in picker.options
    assert any("it is a student" in info.value for info in page.info)
    assert buttons(page)["training start"] == "Train"
    page = opened(model="untrained:resnet8", distillation="0.5")
    assert any("cannot be its own teacher" in info.value for info in page.info)
    assert "training start" not in buttons(page)
    page = opened(model="untrained:resnet8", distillation="0.5", teacher="resnet20")
    assert buttons(page)["training start"] == "Train"
    assert not page.exception


def test_the_curve_has_both_lines_over_epochs() -> None:
    points = (Point(0, None, 600, 1000, 1.0), Point(50, 1.2, 700, 1000, 9.0), Point(100, 1.0, 750, 1000, 17.0))
    accuracies, losses = curve(points, 200, 0.5, "#000000").to_dict()["data"]
    assert (accuracies["x"], accuracies["y"]) == ([0.0, 0.125, 0.25], [0.6, 0.7, 0.75])
    assert (losses["x"], losses["y"]) == ([0.125, 0.25], [1.2, 1.0])
    assert "of 1,000 training images" in accuracies["customdata"][0]


def test_the_time_of_a_run_follows_from_one_that_was_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {Precision.FLOAT32: 0.001, Precision.BFLOAT16: 0.0006}
    monkeypatch.setattr(experiments, "seconds_to_train_on_an_image", lambda _, precision: rates[precision])
    run = Run("r", "simple_cnn", "d", SPARSE, Recipe(epochs=1.0), None, 50_000, "i")
    monkeypatch.setattr(runs, "all_recovered", list)
    assert runs.estimate(run) == pytest.approx(1.2e-3 * (382 * 128 + 9 * 1000 * 0.35), rel=0.01)
    before = lineage("simple_cnn", steps=100, seconds=50.0)
    monkeypatch.setattr(runs, "all_recovered", lambda: [Recovered("a", before, Path("a"), 1, False)])
    assert runs.estimate(run) == pytest.approx(run.total * 0.5)
    rounded = replace(run, recipe=Recipe(epochs=1.0, precision="bfloat16"))  # what was done in float32 does not say
    assert runs.estimate(rounded) == pytest.approx(0.6 * 1.2e-3 * (382 * 128 + 9 * 1000 * 0.35), rel=0.01)


@pytest.fixture
def small_trainer(here: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, training_images: ImageSet) -> Trainer:
    """Trains on the first training images, and keeps all files in the folder of the test."""
    trainer = Trainer(here, tmp_path, training_images[:1500])
    monkeypatch.setattr(experiments, "trainer", lambda: trainer)
    monkeypatch.setattr(experiments, "seconds_to_train_on_an_image", lambda *_: 0.001)
    monkeypatch.setattr(recovered, "folder_of", lambda data=None: tmp_path / "recovered")
    monkeypatch.setattr(recovered, "GALLERY", tmp_path / "gallery")
    return trainer


def buttons(page: AppTest) -> dict[str, str]:
    return {button.key: button.label for button in page.button}


def test_a_student_is_trained_and_used(small_trainer: Trainer) -> None:
    page = opened(model="untrained:resnet8", epochs="1", distillation="0.5", teacher="simple_cnn")
    page.button("training start").click().run()
    until(page, lambda: "training stop" not in buttons(page) and bool(recovered.recovered_names()))
    [each] = recovered.all_recovered()
    assert each.name.startswith("resnet8-float-1-epoch")
    assert (each.lineage.parent, each.lineage.teacher) == ("untrained:resnet8", "simple_cnn")
    page.button("use trained").click().run()
    assert not page.exception
    assert page.query_params["model"] == each.name
    assert any("You can train on from it." in info.value for info in page.info)
    assert buttons(page)["training start"] == "Train"


def test_a_network_is_trained_found_again_by_its_link_used_trained_on_and_deleted(small_trainer: Trainer) -> None:
    page = opened(sparsity="0.9", epochs="2")
    assert any(caption.value.startswith("About ") for caption in page.caption)
    page.button("training start").click().run()
    assert buttons(page)["training stop"] == "Stop"
    again = opened(sparsity="0.9", epochs="2")  # another tab, by the same link

    def is_shown() -> bool:
        return "training stop" not in buttons(again) and any(each.label == "Points won" for each in again.metric)

    until(again, is_shown)
    shown = {metric.label: metric.value for metric in again.metric if metric.label in ("Points won", "Time")}
    assert float(shown["Points won"]) > 0
    [name] = recovered.recovered_names()
    spec, network = CompressionSpec(name), networks.float_model(name)
    counted = lambda: accuracy.evaluator().known_costs(network, spec) is not None  # the page lets workers count them
    until(again, counted)
    assert recovered.find_recovered(name).lineage.accuracy  # type: ignore[union-attr]
    [result] = experiments.sweep((spec,), go=False).results
    assert result.costs.file == recovered.find_recovered(name).nbytes  # type: ignore[union-attr]
    again.button("use trained").click().run()
    assert not again.exception
    assert again.query_params["model"] == name
    size = next(metric.value for metric in again.metric if metric.label == "File size")
    assert size == wording.size(recovered.find_recovered(name).nbytes)  # type: ignore[union-attr]
    assert buttons(again)["training start"] == "Train"  # on from it
    assert any("You can train on from it." in info.value for info in again.info)
    again.button(f"delete {name}").click().run()
    assert not again.exception
    assert recovered.recovered_names() == []
    assert again.query_params["model"] == "simple_cnn"
