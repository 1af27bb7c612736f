"""The networks that a session can pick, and what is known of them without compressing them."""

from dataclasses import replace

import streamlit as st

from compression.files.stored import StoredNetwork
from compression.inspect import card, histogram, sketch
from compression.library import catalog, descent, recovered
from compression.networks import macs, public
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel
from compression.networks.untrained import PREFIX, STUDENTS
from compression.networks.weights import compressible_weights, weighted_layers
from compression.spec import CompressionSpec
from pages.ui.compute import uploads
from pages.ui.compute.caching import shared


def names() -> list[str]:
    """Returns the names of all networks that this session can pick."""
    return [*catalog.network_names(), *STUDENTS, *uploads.own()]


def float_model(name: str) -> FloatModel:
    """Returns the network as it was trained, in float32."""
    return uploads.own().get(name) or _shared_model(name)


def is_compressed(name: str) -> bool:
    """Returns whether the network is compressed already: recovered by training, or uploaded as a packed file."""
    return isinstance(float_model(name), StoredNetwork)


def origin(name: str) -> str:
    """Returns what the network is before any settings: the float network, or what was read from a packed file."""
    if not is_compressed(name):
        return "the float network"
    return "in float" if base(name) == "float" else "compressed already"


def base(name: str) -> str:
    """Returns what the network before any settings is called beside the compressed one: "float" or "stored"."""
    return catalog.base_word(float_model(name))


def file_bytes(name: str) -> int | None:
    """Returns the size of the packed file of a network that is compressed already, None for another network."""
    model = float_model(name)
    return model.nbytes if isinstance(model, StoredNetwork) else None


def labels() -> dict[str, str]:
    """Returns what a picker calls each of `names`: a recovered or an untrained network is called what it is."""
    here = recovered.by_name()
    special = {name: f"{each.title(here)} · {name[-recovered.DIGITS :]}" for name, each in here.items()}
    special |= {name: f"{name.removeprefix(PREFIX)}, untrained" for name in STUDENTS}
    return {name: special.get(name, name) for name in names()}


def descents() -> dict[str, descent.Descent]:
    """Returns where each recovered network comes from, by name."""
    return descent.descents(recovered.all_recovered())


def described(spec: CompressionSpec) -> tuple[str, str]:
    """Returns the name of the float network, and what is done with it in the end, training included."""
    return descent.describe(spec, descents())


@st.cache_resource(max_entries=16, show_spinner=False)
def _shared_model(name: str) -> FloatModel:
    return catalog.load_network(name)


@shared(16)
def _folded_model(name: str) -> FloatModel:
    return replace(float_model(name), module=fold_batch_norm(float_model(name).module))


def model(name: str, fold: bool) -> FloatModel:
    """Returns the float network; with `fold`, with batch norm folded into its convolutions."""
    return _folded_model(name) if fold else float_model(name)


def has_batch_norm(name: str) -> bool:
    """Returns whether the network has batch norm that can be folded."""
    return _folded_model(name).module is not float_model(name).module


@st.cache_data(ttl=60, show_spinner=False)
def why_public_unreachable() -> str | None:
    """Returns why public networks cannot be downloaded now, or None if they can. Asked again after a minute."""
    return public.why_unreachable(timeout_seconds=2)


@st.cache_data(max_entries=256, show_spinner=False)
def layer_macs(name: str) -> dict[str, int]:
    """Returns the multiply-accumulates of one image, by layer."""
    return macs.layer_macs(float_model(name).module, float_model(name).example)


@st.cache_data(max_entries=256, show_spinner=False)
def layer_cards(name: str, fold: bool) -> tuple[card.LayerCard, ...]:
    """Returns shape, weights, MACs and spread of each layer."""
    return card.describe_layers(model(name, fold).module, layer_macs(name))


@st.cache_data(max_entries=256, show_spinner=False)
def channel_ranges(name: str, layer: str, bits: int, fold: bool) -> card.ChannelRanges:
    """Returns the range of the weights of each output channel, and which channels one scale rounds to zero."""
    return card.measure_channel_ranges(weighted_layers(model(name, fold).module)[layer], bits)


@st.cache_data(max_entries=256, show_spinner=False)
def largest_useful_threshold(name: str, fold: bool) -> float:
    """Returns the pruning threshold at which a slider may end."""
    return histogram.find_largest_threshold(model(name, fold).module)


def weight_sketch(name: str, fold: bool) -> sketch.WeightSketch:
    """Returns the sketch of the weights, for a browser to compute from."""
    weights = compressible_weights(model(name, fold).module)
    return sketch.sketch_weights({layer: weight.channels_first for layer, weight in weights.items()})
