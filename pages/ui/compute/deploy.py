"""Files of a compressed network, checked and timed."""

import streamlit as st

from compression.deploy import pytorch_files
from compression.deploy.deployer import Deployer
from compression.deploy.deployment import Deployment
from compression.deploy.stopwatch import Stopwatch, Timing
from compression.engine.cluster import engine
from compression.errors import CodecError, DataError
from compression.files.ledger import FileLedger, encode_file
from compression.files.packed_file import pack_layers
from compression.files.packed_reader import verify_content
from compression.files.rivals import count_rivals
from compression.spec import CompressionSpec
from pages.ui.compute import compressed, images, networks
from pages.ui.compute.caching import shared


@st.cache_resource(show_spinner=False)
def _deployer(counts: bool) -> Deployer:
    return Deployer(engine(), images.load_once() if counts else None)


@st.cache_resource(show_spinner=False)
def _stopwatch() -> Stopwatch:
    """One for all sessions: two that measure at once would measure each other."""
    return Stopwatch()


def exports(spec: CompressionSpec, go: bool, fewer_filters: bool) -> tuple[Deployment, ...]:
    """Returns what is known about the ONNX files of `spec`; with `go`, workers go on exporting and checking.

    With `fewer_filters`, a network with half of the filters is one of them even if `spec` prunes none.
    """
    counts = not isinstance(images.test_images(), DataError)
    return _deployer(counts).look(networks.float_model(spec.model), spec, go, fewer_filters)


def timing(spec: CompressionSpec, threads: int, go: bool, fewer_filters: bool) -> Timing:
    """Returns how long the files of `spec` take here, as far as it is known; with `go`, they are measured."""
    files = exports(spec, False, fewer_filters)
    graphs: dict[str, bytes] = {each.variant.kind: each.file.graph for each in files if each.file}
    return _stopwatch().look(_measurement(spec, fewer_filters), graphs, threads, go)


def forget(spec: CompressionSpec, threads: int, fewer_filters: bool) -> None:
    """Stops the work for `spec`, and forgets its times and errors: when asked for again, all is tried again."""
    _deployer(not isinstance(images.test_images(), DataError)).rest(networks.float_model(spec.model), spec)
    _stopwatch().forget(_measurement(spec, fewer_filters), threads)


def _measurement(spec: CompressionSpec, fewer_filters: bool) -> tuple[str, CompressionSpec, bool]:
    """Returns what identifies the files that are timed together."""
    return networks.float_model(spec.model).digest, spec, fewer_filters


@shared(16)
def packed_file(spec: CompressionSpec) -> tuple[bytes, FileLedger] | CodecError | ValueError:
    """Returns the packed file, re-read and compared, and where its bytes go; or why there is none. Takes seconds."""
    network = compressed.model(spec)
    try:
        content, ledger = encode_file(network, networks.float_model(spec.model))
        verify_content(content, network)
    except (CodecError, ValueError) as error:
        return error
    compressed.remember_file(spec, ledger)
    return content, ledger


@shared(64)
def rivals(spec: CompressionSpec) -> dict[str, int]:
    """Returns the bytes that other compressors make of the content of the packed file. Takes seconds."""
    return dict(count_rivals(pack_layers(compressed.model(spec)), networks.float_model(spec.model)))


@shared(4)
def state_file(spec: CompressionSpec) -> tuple[bytes, bool]:
    """Returns the state dict as a file, and whether it holds exactly what was evaluated."""
    module = compressed.model(spec).module
    file = pytorch_files.state_file(module)
    return file, pytorch_files.holds(file, module)
