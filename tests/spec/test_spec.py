"""Specs are values that compare, hash, print and refuse impossible settings with a sentence."""

import dataclasses
import json
import math
import pickle

import pytest

from compression.spec import (
    ActivationSpec,
    Calibration,
    CompressionSpec,
    Granularity,
    LayerSpec,
    Only,
    Order,
    PruneSpec,
    QuantSpec,
    Scheme,
    Scope,
    structure_from,
)

FULL = CompressionSpec(
    "resnet20",
    PruneSpec(sparsity=0.5, scope=Scope.LAYER),
    QuantSpec(4, Scheme.AFFINE, Granularity.TENSOR),
    (LayerSpec("fc", bits=8), LayerSpec("conv1", bits=32, sparsity=0.0)),
    fold_bn=True,
    activations=ActivationSpec(8, Calibration.KL),
    order=Order.QUANTIZE_FIRST,
)


def test_the_float_model_is_a_spec_with_nothing_in_it() -> None:
    assert CompressionSpec("resnet20") == CompressionSpec("resnet20", None, None, ())


def test_a_spec_need_not_name_its_network() -> None:
    spec = CompressionSpec(prune=PruneSpec(sparsity=0.5))
    assert spec.model == ""
    assert dataclasses.replace(spec, model="resnet20") == CompressionSpec("resnet20", PruneSpec(sparsity=0.5))


def test_names_given_as_text_become_members_of_their_enum() -> None:
    spec = QuantSpec(4, "affine", "tensor")
    assert spec.scheme is Scheme.AFFINE
    assert spec.granularity is Granularity.TENSOR
    assert PruneSpec(sparsity=0.5, scope="layer").scope is Scope.LAYER


def test_json_is_canonical_text() -> None:
    assert CompressionSpec("m", PruneSpec(sparsity=0.5), QuantSpec(4)).to_json() == (
        '{"activations":null,"also":[],"fold_bn":false,"layers":[],"merge":null,"model":"m","order":"fold-first",'
        '"prune":{"criterion":"l1","pattern":null,'
        '"scope":"global","seed":0,"sparsity":0.5,"structure":"weight","threshold":null,"unit":"absolute"},'
        '"reestimate_bn":false,'
        '"weights":{"bits":4,"clip":"full","clip_at":null,"granularity":"channel","group_size":null,"only":null,'
        '"scheme":"symmetric","skip_ends":false,"step":null}}'
    )


def test_settings_that_came_later_are_in_the_json_only_where_they_are_set() -> None:
    """So results that were stored before are found under the same keys."""
    later = ("rounding", "reconstruct", "repair_activations", "correct_bias", "equalize")
    assert not any(name in CompressionSpec("m", PruneSpec(sparsity=0.5), QuantSpec(4)).to_json() for name in later)
    spec = CompressionSpec("m", weights=QuantSpec(4), rounding="compensated", correct_bias=True)
    assert '"correct_bias":true' in spec.to_json()
    assert '"rounding":"compensated"' in spec.to_json()
    assert "reconstruct" not in spec.to_json()


@pytest.mark.parametrize(
    "how", [{"rounding": "learned"}, {"reconstruct": True}, {"correct_bias": True}, {"repair_activations": True}]
)
def test_accuracy_is_not_recovered_where_batch_norm_is_folded_last(how: dict) -> None:
    with pytest.raises(ValueError, match="set the order fold-first"):
        CompressionSpec("m", PruneSpec(sparsity=0.5), QuantSpec(4), fold_bn=True, order="quantize-first", **how)


def test_channels_are_equalized_only_with_batch_norm_folded_first() -> None:
    with pytest.raises(ValueError, match="equalize needs batch norm folded"):
        CompressionSpec("m", equalize=True)


def test_rounding_is_one_of_four() -> None:
    with pytest.raises(ValueError, match="rounding must be one of nearest, compensated, learned, rate-aware, got 'up'"):
        CompressionSpec("m", weights=QuantSpec(4), rounding="up")


@pytest.mark.parametrize(
    ("quant", "penalty", "problem"),
    [
        (QuantSpec(4, "affine"), 0.3, "set this scheme"),
        (QuantSpec(4, clip="percentile"), 0.3, "the clipping range full"),
        (QuantSpec(4), 0.0, "above 0, got 0.0"),
        (QuantSpec(4), math.nan, "finite number above 0, got nan"),
    ],
)
def test_rate_aware_rounding_is_of_the_scheme_symmetric_and_has_a_penalty(quant, penalty, problem) -> None:
    with pytest.raises(ValueError, match=problem):
        CompressionSpec("m", weights=quant, rounding="rate-aware", rate_penalty=penalty)


@pytest.mark.parametrize("count", [0, -5, 2.5])
def test_the_training_images_that_are_seen_are_a_whole_number(count: float) -> None:
    with pytest.raises(ValueError, match=f"sample_images must be a whole number above 0, got {count}"):
        CompressionSpec("m", correct_bias=True, sample_images=count)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CompressionSpec("m", weights=QuantSpec(4), sample_images=9), CompressionSpec("m", weights=QuantSpec(4))),
        (CompressionSpec("m", rounding="compensated"), CompressionSpec("m")),
        (CompressionSpec("m", weights=QuantSpec(4), reconstruct=True), CompressionSpec("m", weights=QuantSpec(4))),
        (CompressionSpec("m", weights=QuantSpec(4), rate_penalty=0.7), CompressionSpec("m", weights=QuantSpec(4))),
        (CompressionSpec("m", PruneSpec(threshold=0)), CompressionSpec("m")),
        (CompressionSpec("m", PruneSpec(sparsity=0.0, scope="layer")), CompressionSpec("m")),
        (CompressionSpec("m", PruneSpec(sparsity=1)), CompressionSpec("m", PruneSpec(sparsity=1.0))),
        (CompressionSpec("m", PruneSpec(sparsity=0.5, criterion="l2")), CompressionSpec("m", PruneSpec(sparsity=0.5))),
        (
            CompressionSpec("m", PruneSpec(structure="n:m", pattern=[2.0, 4])),
            CompressionSpec("m", PruneSpec(structure="n:m")),
        ),
        (CompressionSpec("m", PruneSpec(sparsity=0, criterion="random", seed=3)), CompressionSpec("m")),
        (CompressionSpec("m", PruneSpec(threshold=2)), CompressionSpec("m", PruneSpec(threshold=2.0))),
        (CompressionSpec("m", weights=QuantSpec(4.0)), CompressionSpec("m", weights=QuantSpec(4))),
        (
            CompressionSpec("m", activations=ActivationSpec(8.0, "kl")),
            CompressionSpec("m", activations=ActivationSpec(8, Calibration.KL)),
        ),
        (
            CompressionSpec("m", weights=QuantSpec(4), order="quantize-first"),
            CompressionSpec("m", weights=QuantSpec(4)),
        ),
        (CompressionSpec("m", fold_bn=True, order="quantize-first"), CompressionSpec("m", fold_bn=True)),
        (
            CompressionSpec("m", layers=(LayerSpec("fc", 32),), fold_bn=True, order="quantize-first"),
            CompressionSpec("m", layers=(LayerSpec("fc", 32),), fold_bn=True),
        ),
        (
            CompressionSpec("m", layers=(LayerSpec("a", 8.0, 0), LayerSpec("b", 32.0))),
            CompressionSpec("m", layers=[LayerSpec("b", 32), LayerSpec("a", 8, 0.0)]),
        ),
    ],
    ids=[
        "images-without-recovery",
        "rounding-without-codes",
        "survivors-without-pruning",
        "penalty-without-the-rounding",
        "threshold-0",
        "sparsity-0",
        "sparsity-1",
        "l2-of-weights",
        "2:4",
        "random-0",
        "threshold-2",
        "bits-4",
        "activations-8",
        "order-without-folding",
        "order-without-weights",
        "order-with-float-layers-alone",
        "order-of-layers",
    ],
)
def test_specs_that_mean_the_same_are_equal_in_every_way(one: CompressionSpec, other: CompressionSpec) -> None:
    assert one == other
    assert hash(one) == hash(other)
    assert one.to_json() == other.to_json()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (QuantSpec(4, clip="percentile", clip_at=99.9), QuantSpec(4, clip="percentile")),
        (QuantSpec(4, clip="stds", clip_at=3), QuantSpec(4, clip="stds")),
        (QuantSpec(4, clip="means", clip_at=2), QuantSpec(4, clip="means", clip_at=2.0)),
        (QuantSpec(4, granularity="group"), QuantSpec(4, granularity="group", group_size=64.0)),
        (QuantSpec(8, "k-means", "group"), QuantSpec(8, "k-means", "group", group_size=256)),
        (QuantSpec(16, "step", "channel", step=1), QuantSpec(16, "step", "group", step=1.0)),
        (QuantSpec(4, only="conv", skip_ends=1), QuantSpec(4, only=Only.CONV, skip_ends=True)),
    ],
)
def test_quantizers_that_mean_the_same_are_equal_in_every_way(one: QuantSpec, other: QuantSpec) -> None:
    test_specs_that_mean_the_same_are_equal_in_every_way(*(CompressionSpec("m", weights=q) for q in (one, other)))


@pytest.mark.parametrize(
    "change",
    [
        {"model": "simple_cnn"},
        {"prune": None},
        {"prune": PruneSpec(sparsity=0.5)},
        {"weights": None},
        {"weights": QuantSpec(4, Scheme.AFFINE)},
        {"weights": dataclasses.replace(FULL.weights, only="linear")},
        {"weights": dataclasses.replace(FULL.weights, skip_ends=True)},
        {"weights": dataclasses.replace(FULL.weights, clip="stds", clip_at=2)},
        {"weights": dataclasses.replace(FULL.weights, granularity="group", group_size=32)},
        {"layers": ()},
        {"activations": None},
        {"activations": ActivationSpec(8)},
        {"order": Order.FOLD_FIRST},
        {"reestimate_bn": True},
        {"order": "fold-first", "rounding": "compensated"},
        {"order": "fold-first", "rounding": "learned"},
        {"order": "fold-first", "reconstruct": True},
        {"order": "fold-first", "repair_activations": True},
        {"order": "fold-first", "correct_bias": True},
        {"order": "fold-first", "equalize": True},
    ],
    ids=str,
)
def test_specs_that_differ_have_different_json(change: dict) -> None:
    other = dataclasses.replace(FULL, **change)
    assert other != FULL
    assert other.to_json() != FULL.to_json()


def test_a_spec_survives_pickling_and_its_json_can_be_read() -> None:
    assert pickle.loads(pickle.dumps(FULL)) == FULL
    assert json.loads(FULL.to_json())["layers"][0] == {"name": "conv1", "bits": 32, "sparsity": 0.0}


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.model = "other"  # type: ignore[misc]


@pytest.mark.parametrize("bits", [1, 0, -4, 17, 32, 3.5, float("nan")])
def test_bits_outside_2_to_16_are_refused(bits: float) -> None:
    with pytest.raises(ValueError, match=r"bits must be a whole number in 2\.\.16, got"):
        QuantSpec(bits)


def test_one_bit_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="with one bit a symmetric quantizer has only the code 0"):
        QuantSpec(1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PruneSpec(), "needs a threshold or a sparsity target, got neither"),
        (lambda: PruneSpec(threshold=0.1, sparsity=0.5), "not both"),
        (lambda: PruneSpec(threshold=-0.1), "threshold must be a finite number of at least 0, got -0.1"),
        (lambda: PruneSpec(threshold=float("nan")), "threshold must be a finite number"),
        (lambda: PruneSpec(threshold=float("inf")), "threshold must be a finite number"),
        (lambda: PruneSpec(threshold=0.1, scope="layer"), "the same in every layer"),
        (lambda: PruneSpec(sparsity=1.01), r"sparsity must be in 0\.\.1, got 1.01"),
        (lambda: PruneSpec(sparsity=-0.01), r"sparsity must be in 0\.\.1"),
        (lambda: PruneSpec(sparsity=float("nan")), r"sparsity must be in 0\.\.1"),
        (lambda: PruneSpec(sparsity=0.5, scope="world"), "scope must be one of global, layer, got 'world'"),
        (lambda: PruneSpec(sparsity=0.5, criterion="best"), "criterion must be one of l1, .*, signed, got 'best'"),
        (lambda: PruneSpec(sparsity=0.5, structure="row"), "structure must be one of weight, n:m, filter, got 'row'"),
        (lambda: PruneSpec(threshold=0.5, unit="cm"), "unit must be one of absolute, stds, means, got 'cm'"),
        (lambda: PruneSpec(sparsity=0.5, unit="stds"), "the unit stds needs a threshold, and none is given"),
        (lambda: PruneSpec(sparsity=0.5, structure="n:m"), "the structure 2:4 sets the sparsity itself"),
        (lambda: PruneSpec(threshold=0.5, structure="n:m"), "give no threshold and no sparsity target"),
        (lambda: PruneSpec(structure="n:m", scope="layer"), "n:m already holds in each layer"),
        (lambda: PruneSpec(structure="n:m", pattern=(4, 4)), "whole numbers with 1 <= n < m, got 4:4"),
        (lambda: PruneSpec(structure="n:m", pattern=(0, 4)), "got 0:4"),
        (lambda: PruneSpec(structure="n:m", pattern=(1.5, 4)), "got 1.5:4"),
        (
            lambda: PruneSpec(sparsity=0.5, pattern=(2, 4)),
            "a pattern needs the structure n:m, got the structure weight",
        ),
        (
            lambda: PruneSpec(threshold=0.5, criterion="random"),
            "random scores have no unit that a threshold could have",
        ),
        (lambda: PruneSpec(threshold=0.5, criterion="taylor"), "taylor scores have no unit"),
        (lambda: PruneSpec(sparsity=0.5, criterion="bn-scale"), "bn-scale scores whole filters"),
        (
            lambda: PruneSpec(0.5, unit="means", criterion="bn-scale", structure="filter"),
            "bn-scale does not use weights, so its unit cannot be means",
        ),
        (
            lambda: PruneSpec(sparsity=0.5, criterion="signed", structure="filter"),
            "the criterion signed is for single weights",
        ),
        (lambda: PruneSpec(sparsity=0.5, seed=1), "a seed needs the criterion random; l1 scores are not random"),
        (lambda: QuantSpec(8, "cubic"), "scheme must be one of symmetric, affine, min-max, .*, step, got 'cubic'"),
        (lambda: QuantSpec(4, "ternary"), "bits of ternary weights must be 2, got 4"),
        (lambda: QuantSpec(2, "binary"), "bits of binary weights must be 1, got 2"),
        (lambda: QuantSpec(9, "k-means"), r"bits of k-means weights must be a whole number in 1\.\.8, got 9"),
        (lambda: QuantSpec(8, clip="most"), "clip must be one of full, percentile, .*, got 'most'"),
        (lambda: QuantSpec(4, "k-means", clip="stds"), "the scheme k-means determines its values from the weights"),
        (lambda: ActivationSpec(1), r"activation bits must be a whole number in 2\.\.16, got 1"),
        (lambda: ActivationSpec(17), r"activation bits must be a whole number in 2\.\.16, got 17"),
        (lambda: ActivationSpec(8, "mean"), "calibration must be one of min-max, .*, kl, got 'mean'"),
        (lambda: CompressionSpec("m", order="never"), "order must be one of fold-first, quantize-first, got 'never'"),
        (lambda: QuantSpec(8, granularity="row"), "granularity must be one of tensor, channel, group, got 'row'"),
        (lambda: QuantSpec(8, "step", step=0.1), "bits of step weights must be 16, the upper limit for its codes"),
        (lambda: QuantSpec(16, "step"), "the scheme step needs a step, in units of the weights"),
        (lambda: QuantSpec(8, step=0.1), "a step needs the scheme step; the scheme symmetric determines its own steps"),
        (lambda: QuantSpec(16, "step", step=0.0), r"the step must be a number in 1e-30\.\.1e\+30, got 0\.0"),
        (lambda: QuantSpec(16, "step", step=float("nan")), r"the step must be a number in .*, got nan"),
        (lambda: QuantSpec(16, "step", step=0.1, clip="stds"), "the scheme step takes its step from you"),
        (lambda: QuantSpec(16, "step", step=0.1, group_size=32), "a group size needs the granularity group"),
        (lambda: QuantSpec(8, clip_at=2), "the clipping range full takes no number; percentile, stds, means do"),
        (lambda: QuantSpec(8, clip="kl", clip_at=2), "the clipping range kl takes no number"),
        (lambda: QuantSpec(8, clip="percentile", clip_at=50), "must be above 50 and at most 100, got 50"),
        (lambda: QuantSpec(8, clip="percentile", clip_at=100.1), "must be above 50 and at most 100, got 100.1"),
        (
            lambda: QuantSpec(8, clip="stds", clip_at=0),
            "the number of stds of the clipping range must be finite and above 0, got 0",
        ),
        (
            lambda: QuantSpec(8, clip="means", clip_at=float("inf")),
            "the number of means of the clipping range must be finite and above 0",
        ),
        (lambda: QuantSpec(8, group_size=64), "a group size needs the granularity group, got the granularity channel"),
        (
            lambda: QuantSpec(8, granularity="group", group_size=15),
            r"the group size must be a whole number in 16\.\.4096, got 15",
        ),
        (lambda: QuantSpec(8, granularity="group", group_size=20.5), r"a whole number in 16\.\.4096, got 20\.5"),
        (lambda: QuantSpec(5, "k-means", "group", group_size=31), "k-means would store 32 values for 31 weights"),
        (lambda: QuantSpec(8, only="norm"), "only must be one of conv, linear, got 'norm'"),
        (lambda: LayerSpec("fc"), "layer fc: give bits, sparsity, or both"),
        (lambda: LayerSpec("fc", bits=1), "bits must be"),
        (lambda: LayerSpec("fc", sparsity=2), "sparsity must be"),
        (
            lambda: CompressionSpec("m", layers=(LayerSpec("fc", 4), LayerSpec("fc", sparsity=0.5))),
            "layer fc is given twice",
        ),
    ],
)
def test_impossible_settings_are_refused_with_the_reason(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("text", "structure", "pattern"),
    [("weight", "weight", None), ("filter", "filter", None), ("2:4", "n:m", (2, 4)), ("1:16", "n:m", (1, 16))],
)
def test_structures_are_read_from_text(text: str, structure: str, pattern: tuple[int, int] | None) -> None:
    assert structure_from(text) == (structure, pattern)


@pytest.mark.parametrize("text", ["4:2", "2:4:6", "rows", ":4", "-1:4"])
def test_other_text_is_refused_as_a_structure(text: str) -> None:
    with pytest.raises(ValueError, match=r"n:m keeps n of every m|structure must be one of"):
        structure_from(text)


def test_a_threshold_of_zero_prunes_only_with_the_criterion_signed() -> None:
    assert PruneSpec(threshold=0).takes_nothing
    assert not PruneSpec(threshold=0, criterion="signed").takes_nothing
    assert CompressionSpec("m", PruneSpec(threshold=0, criterion="signed")).prune is not None


@pytest.mark.parametrize(("criterion", "needs"), [("taylor", True), ("l1", False), ("random", False)])
def test_taylor_alone_needs_gradients(criterion: str, needs: bool) -> None:
    spec = CompressionSpec("m", PruneSpec(sparsity=0.5, criterion=criterion))
    assert spec.needs_gradients == needs
