"""What the pages compute, each answer kept by its spec. The only file that caches for Streamlit.

Nothing that is kept is ever mutated, but for `_chunks`: the evaluated images of a spec, which only grow.
"""

from collections.abc import Iterator

import streamlit as st

from compression import compress as core
from compression import data, histogram, operations, size
from compression.evaluate import Evaluation, evaluate, join
from compression.models import zoo
from compression.spec import CompressionSpec

CHUNK = 250  # images between two looks at whether the reader has moved on


@st.cache_resource(show_spinner=False)
def float_model(name: str) -> zoo.FloatModel:
    return zoo.load_bundled(name)


@st.cache_data(show_spinner=False)
def layer_macs(name: str) -> dict[str, int]:
    return operations.layer_macs(float_model(name).module)


@st.cache_data(show_spinner=False)
def largest_useful_threshold(name: str) -> float:
    return histogram.largest_useful_threshold(float_model(name).module)


@st.cache_resource(max_entries=64, show_spinner=False)
def compressed(spec: CompressionSpec) -> core.CompressedModel:
    return core.compress(float_model(spec.model).module, spec)


@st.cache_data(max_entries=1024, show_spinner=False)
def sizes(spec: CompressionSpec) -> size.Size:
    return size.measure(compressed(spec))


@st.cache_data(max_entries=1024, show_spinner=False)
def weight_view(spec: CompressionSpec, layer: str | None) -> histogram.WeightView:
    return histogram.weight_view(compressed(spec), layer)


def bit_operations(spec: CompressionSpec) -> int:
    return operations.bit_operations(compressed(spec), layer_macs(spec.model))


@st.cache_resource(ttl=60, show_spinner="Reading CIFAR-10")
def test_images() -> data.ImageSet | data.DataError:
    """The images, or what is wrong with them; looked for again after a minute."""
    try:
        return data.load()
    except data.DataError as error:
        return error


@st.cache_resource(max_entries=512, show_spinner=False)
def _chunks(spec: CompressionSpec) -> dict[int, Evaluation]:
    return {}


def counted(spec: CompressionSpec) -> Evaluation | None:
    """The images of `spec` that were evaluated so far, for anyone: a prefix of the test images."""
    parts = [part for _, part in sorted(_chunks(spec).items())]
    return join(parts) if parts else None


def same_images(spec: CompressionSpec) -> tuple[Evaluation, Evaluation] | tuple[None, None]:
    """The float network and `spec` on those first images that both have seen, if there are any."""
    before, after = counted(CompressionSpec(spec.model)), counted(spec)
    if not before or not after:
        return None, None
    images = min(before.total, after.total)
    return before.first(images), after.first(images)


def chunks_left(spec: CompressionSpec, upto: int) -> int:
    return max(0, upto // CHUNK - len(_chunks(spec)))


def count(spec: CompressionSpec, images: data.ImageSet, upto: int) -> Iterator[int]:
    """Evaluates what is missing of the first `upto` images; yields how many there are after each chunk."""
    chunks, model = _chunks(spec), float_model(spec.model)
    for start in range(CHUNK * len(chunks), upto, CHUNK):
        chunks[start] = evaluate(compressed(spec).module, images[start : start + CHUNK], model.normalization)
        yield start + CHUNK
