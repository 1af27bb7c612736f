"""Recipes and links are read back as they were written, and damaged ones are refused with a sentence."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compression.networks.weights import weighted_layers
from compression.spec import (
    ActivationSpec,
    Calibration,
    Clip,
    CompressionSpec,
    Granularity,
    LayerSpec,
    Order,
    PruneSpec,
    QuantSpec,
    Scheme,
    Scope,
)
from compression.spec.recipe import MOST_CHARACTERS, from_json, from_link, to_link

bits = st.one_of(st.integers(2, 16), st.just(32))
fractions = st.floats(0, 1)


def build_values(kind, **fields):
    """Returns a strategy for values of `kind`, without the combinations that it refuses."""

    def build(values):
        try:
            return kind(**values)
        except ValueError:
            return None

    return st.fixed_dictionaries(fields).map(build).filter(lambda value: value is not None)


layers = st.lists(
    build_values(LayerSpec, name=st.text(min_size=1), bits=st.none() | bits, sparsity=st.none() | fractions),
    unique_by=lambda layer: layer.name,
    max_size=5,
)
quants = build_values(
    QuantSpec,
    bits=st.integers(1, 16),
    scheme=st.sampled_from(Scheme),
    granularity=st.sampled_from(Granularity),
    clip=st.sampled_from(Clip),
)
prunes = st.one_of(
    st.builds(PruneSpec, threshold=st.floats(0, 10)),
    st.builds(PruneSpec, sparsity=fractions, scope=st.sampled_from(Scope)),
)
specs = st.builds(
    CompressionSpec,
    st.text(),
    st.none() | prunes,
    st.none() | quants,
    layers.map(tuple),
    fold_bn=st.booleans(),
    activations=st.none() | st.builds(ActivationSpec, st.integers(2, 16), st.sampled_from(Calibration)),
    order=st.sampled_from(Order),
)


@settings(deadline=None)
@given(specs)
def test_a_recipe_is_read_back_as_it_was_written(spec):
    assert from_json(spec.to_json()) == spec
    assert from_json(json.dumps(json.loads(spec.to_json()), indent=4)) == spec


@settings(deadline=None)
@given(layers)
def test_layers_of_a_link_are_read_back_unchanged(found):
    assert from_link(to_link(found)) == CompressionSpec("", layers=tuple(found)).layers


def test_a_link_on_paper():
    assert to_link([LayerSpec("fc", sparsity=0.5), LayerSpec("conv1", 8, 0)]) == "conv1:8/0,fc:/0.5"
    assert from_link("fc:4") == (LayerSpec("fc", 4),)
    assert from_link("") == ()


def test_a_link_to_every_layer_of_resnet20_is_short(random_resnet):
    assert len(to_link([LayerSpec(name, 4, 0.55) for name in weighted_layers(random_resnet)])) < 600


def test_missing_fields_of_a_recipe_have_their_defaults():
    assert from_json('{"model": "vgg", "weights": {"bits": 4}}') == CompressionSpec("vgg", weights=QuantSpec(4))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON: Expecting value in line 1, column 1"),
        ('{"model": "vgg"', "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        (" " * (MOST_CHARACTERS + 1), "at most 1,000,000 characters"),
        ("[]", "a recipe must be an object"),
        ("{}", "model is missing"),
        ('{"model": 3}', "model must be a text, got 3"),
        ('{"model": "vgg", "model": "cnn3"}', "the field 'model' occurs twice"),
        ('{"model": "vgg", "weigths": null}', "weigths is not a known field; the nearest is 'weights'"),
        ('{"model": "vgg", "weights": {"bits": "four"}}', 'weights.bits must be a whole number, got "four"'),
        ('{"model": "vgg", "weights": {"bits": true}}', "weights.bits must be a whole number, got true"),
        ('{"model": "vgg", "weights": {"bits": 40}}', "weights: bits must be a whole number in 2..16, got 40"),
        ('{"model": "vgg", "weights": {"bits": 4, "scheme": "magic"}}', "weights.scheme must be one of symmetric"),
        ('{"model": "vgg", "weights": 4}', "weights must be an object"),
        ('{"model": "vgg", "prune": {"sparsity": NaN}}', "NaN is not allowed"),
        ('{"model": "vgg", "prune": {"sparsity": 2}}', "prune: sparsity must be in 0..1, got 2"),
        ('{"model": "vgg", "prune": {}}', "prune: pruning needs a threshold or a sparsity target, got neither"),
        ('{"model": "vgg", "layers": {"fc": 4}}', "layers must be a list"),
        ('{"model": "vgg", "layers": [{"name": "fc"}]}', "layers[0]: layer fc: give bits, sparsity, or both"),
        ('{"model": "vgg", "layers": [{"name": "fc", "bits": 4.5}]}', "layers[0].bits must be a whole number"),
        ('{"model": "vgg", "layers": [{"name": "a", "bits": 4}, {"name": "a", "bits": 4}]}', "layer a is given twice"),
        ('{"model": "vgg", "fold_bn": 1}', "fold_bn must be true or false, got 1"),
    ],
)
def test_a_damaged_recipe_is_refused_with_the_reason(text, words):
    with pytest.raises(ValueError) as error:
        from_json(text)
    assert words in str(error.value)


@settings(deadline=None)
@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_any_text_is_a_recipe_or_is_refused_with_a_sentence(text):
    with suppress(ValueError):
        assert isinstance(from_json(text), CompressionSpec)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fc", "layer fc: give bits, sparsity, or both"),
        ("fc:four", "written as in conv1:8/0.5, got 'fc:four'"),
        ("fc:4,,conv1:8", "layer : give bits"),
        ("fc:40", "bits must be a whole number in 2..16, got 40"),
        ("fc:4/1.5", "sparsity must be in 0..1, got 1.5"),
        ("fc:4/nan", "sparsity must be in 0..1, got nan"),
        ("fc:4,fc:5", "layer fc is given twice"),
    ],
)
def test_a_damaged_link_is_refused_with_the_reason(text, words):
    with pytest.raises(ValueError) as error:
        from_link(text)
    assert words in str(error.value)
