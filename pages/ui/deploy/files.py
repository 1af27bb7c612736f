"""Files to download, each with its size and with what was verified."""

import streamlit as st

from compression.deploy.deployment import Check, Deployment
from compression.deploy.pytorch_files import script
from compression.deploy.variants import VariantKind
from compression.library import catalog
from compression.networks.untrained import is_untrained
from pages.ui import wording
from pages.ui.compute import deploy, recovery
from pages.ui.deploy import run
from pages.ui.settings import selection

BYTES = "application/octet-stream"
COLUMNS = 3
NAMES = {
    VariantKind.COMPRESSED: "compressed",
    VariantKind.FLOAT: "float",
    VariantKind.INT8: "int8",
    VariantKind.INT8_CHAIN: "int8-chain",
    VariantKind.SMALLER: "smaller",
}


def draw(model: str) -> None:
    """Shows one download button per file; nothing until the network is there."""
    spec = selection.spec(model)
    if not recovery.is_there(spec):
        return
    found = run.known(spec)
    st.subheader("Files to download", anchor=False)
    first, *places = (column for _ in range(3) for column in st.columns(COLUMNS))
    with first:
        _packed(model)
    for place, each in zip(places, found.files, strict=False):
        with place:
            _onnx(model, each, found.checks.get(each.variant.kind))
    rest = iter(places[len(found.files) :])
    with next(rest):
        _state(model)
    with next(rest):
        recipe = spec.to_json()
        _button("Recipe", recipe.encode(), f"{model}.json", "application/json")
        st.caption("All settings as JSON. The page Layers opens this file.")
    with next(rest):
        if model in catalog.network_names() or is_untrained(model):
            _button("Script", script(spec).encode(), f"{model}.py", "text/x-python")
            st.caption("Makes the same network again with the package `compression`, and prints its accuracy.")


def _packed(model: str) -> None:
    found = deploy.packed_file(selection.spec(model))
    content = b"" if isinstance(found, Exception) else found[0]
    _button("Packed", content, f"{model}-packed.safetensors", BYTES, disabled=not content)
    if content:
        st.badge("Verified: decoded weights are identical", icon=":material/verified:", color="green")


def _onnx(model: str, each: Deployment, checked: Check | None) -> None:
    name = NAMES[each.variant.kind]
    graph = each.file.graph if each.file else b""
    _button(f"ONNX {name}", graph, f"{model}-{name}.onnx", BYTES, disabled=not graph)
    if checked:
        same = checked.agree == checked.images
        st.badge(
            f"Agrees on {checked.agree:,} of {checked.images:,}",
            icon=":material/verified:" if same else ":material/check:",
            color="green" if same else "blue",
        )
        if each.variant.kind is VariantKind.SMALLER:
            accuracy = wording.percent(checked.correct / checked.images, 2)
            st.caption(
                f"Not retrained: {accuracy} accuracy. To agree means to predict the same classes, not correct ones."
            )


def _state(model: str) -> None:
    file, same = deploy.state_file(selection.spec(model))
    _button("PyTorch state dict", file, f"{model}.safetensors", BYTES)
    if same:
        st.badge("Verified: re-read bit for bit", icon=":material/verified:", color="green")
    if selection.spec(model).activations:
        st.caption("Weights only: a state dict does not hold the quantizers of activations.")


def _button(label: str, content: bytes, name: str, kind: str, disabled: bool = False) -> None:
    size = f", {wording.size(len(content))}" if content else ""
    st.download_button(
        f"{label}{size}",
        content,
        name,
        kind,
        icon=":material/download:",
        width="stretch",
        disabled=disabled,
        key=name,
        on_click="ignore",
    )
