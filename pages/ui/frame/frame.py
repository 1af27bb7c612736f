"""What every page begins with: page config, menu, model picker, and what accuracy stands on."""

from collections.abc import Callable, Sequence

import streamlit as st

from compression.errors import DataError
from compression.paths import PROJECT
from pages.ui import wording
from pages.ui.compute import accuracy, images, networks

SIDEBAR_PIXELS = 240
MOST_TOASTS = 3
START = "resnet20"
METRICS, WEIGHTS, LAYERS, IMPLIED = "metrics", "weights", "layers", "grey"
ACCURACY, SENTENCE, CHART = "accuracy", "sentence", "chart"
LINKS = "links"
ANSWER = (
    METRICS,
    WEIGHTS,
    LAYERS,
    IMPLIED,
    ACCURACY,
    SENTENCE,
    CHART,
    LINKS,
)  # what a slider draws anew, in this order
MENU = (
    ("app.py", "Explore", ":material/tune:"),
    ("pages/quantization.py", "Quantization", ":material/stairs:"),
    ("pages/pruning.py", "Pruning", ":material/content_cut:"),
    ("pages/layers.py", "Layers", ":material/layers:"),
    ("pages/tradeoffs.py", "Trade-offs", ":material/balance:"),
    ("pages/deploy.py", "Deploy", ":material/rocket_launch:"),
    ("pages/networks.py", "Networks", ":material/hub:"),
    ("pages/checkpoint.py", "Bring your own", ":material/upload_file:"),
    ("pages/guide.py", "What the numbers mean", ":material/menu_book:"),
)
LINKED = (
    *("model", "bits", "scheme", "clip", "granularity", "fold"),
    *("step", "group", "only", "ends", "percentile_at", "stds_at", "means_at"),
    *("inputs", "calibration", "order", "merge"),
    *("by", "sparsity", "threshold", "scope", "layer", "chart", "layers"),
    *("channel", "left_scheme", "left_clip", "left_granularity", "right_scheme", "right_clip", "right_granularity"),
    *("structure", "criterion", "unit", "reestimate", "rival"),
    "threads",
    *("drop", "bytes", "pins"),
)


def open_page(title: str) -> None:
    """Page config and menu."""
    st.set_page_config(f"{title} · Squeezelab", "🗜️", layout="wide", initial_sidebar_state=SIDEBAR_PIXELS)
    st.session_state["whole"] = False
    if st.session_state.get("page") != title:
        st.session_state.update(page=title, arriving=True)
    with st.sidebar:
        st.subheader(":material/compress: Squeezelab", anchor=False)
        _menu()


@st.fragment(key=LINKS)
def _menu() -> None:
    settings = link_parameters()
    for path, label, icon in MENU:
        st.page_link(path, label=label, icon=icon, query_params=settings)


def close_page(answer: Callable[[], Sequence[str]] = lambda: ANSWER) -> None:
    """Says that the page is drawn to its end: now its fragments are known, and can be drawn anew one by one.

    `answer`: tells which of them a slider draws anew, and in which order.
    """
    st.session_state.update(whole=True, answer=answer)


def is_complete() -> bool:
    """Whether the page has been drawn to its end: no longer does what is drawn now belong to its first drawing."""
    return st.session_state["whole"]


def rerun_answer(fragments: Sequence[str] | None = None) -> None:
    """For `on_change`: draws these `fragments` anew (as usual the answer, and the links of the menu) and leaves the
    rest of the page as it stands.

    A click ends the run that is under way; where that run had not yet drawn the whole page, it is begun again.
    """
    if is_complete():
        st.rerun(fragments or st.session_state["answer"]())


def link_parameters() -> dict[str, str | list[str]]:
    """What a link to another page takes along: a page that has the same widgets opens as they stand here."""
    values = {key: st.session_state[key] for key in LINKED if key in st.session_state}
    said = {key: st.query_params.get_all(key) for key in st.query_params}
    return said | {key: _as_in_link(value) for key, value in values.items()}


def _as_in_link(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def pick_network() -> str:
    """The model picker in the sidebar, and what accuracy stands on."""
    with st.sidebar:
        names = networks.names()
        start = names.index(START)
        name = pick_from(names, lambda: st.selectbox("Network", names, start, key="model", bind="query-params"))
        parameters = wording.quantity(networks.float_model(name).parameters)
        float_accuracy, origin = accuracy.float_accuracy(name)
        st.caption(
            f"{parameters} parameters  \n"
            f"{wording.quantity(sum(networks.layer_macs(name).values()))} multiply-accumulates an image  \n"
            + (f"{wording.percent(float_accuracy, 2)} accuracy as float, {origin}" if float_accuracy else "")
        )
    show_data_status(name)
    return name


def pick_from(names: Sequence[str], picker: Callable[[], str]) -> str:
    """What `picker` says, one of `names`. On arrival at a page that is what the link says, else what was picked before.

    Streamlit cannot see to it: it drops from a link what a widget of the page before had put there, and a browser that
    leaves a page before it is whole remembers widgets longer than it should.
    """
    if st.session_state["arriving"]:
        name = st.query_params.get("model", st.session_state.get("picked"))
        if name in names:
            st.session_state["model"] = name
        st.session_state["arriving"] = False
    st.session_state["picked"] = name = picker()
    return name


def is_arriving() -> bool:
    """Whether the reader comes from another page or from a link; ask before `pick_network`."""
    return st.session_state["arriving"]


def show_data_status(name: str | None = None) -> None:
    """Whether there are images; if not, whether the network `name` was measured beforehand."""
    with st.sidebar:
        dataset = images.test_images()
        if isinstance(dataset, DataError):
            said = "measured beforehand" if name and accuracy.is_measured(name) else "no accuracy"
            st.badge(f"No CIFAR-10: {said}", icon=":material/image_not_supported:", color="orange")
        else:
            st.badge(f"{len(dataset):,} test images, verified", icon=":material/verified:", color="green")
            st.caption(f"CIFAR-10 from {dataset.source.replace(str(PROJECT.parent), '..')}")


def opening_link() -> dict[str, str]:
    """What the link says that this browser session was opened with; empty after its first run."""
    if "opened" in st.session_state:
        return {}
    st.session_state["opened"] = True
    return st.query_params.to_dict()


def report_rejected(link: dict[str, str]) -> None:
    """Says which values of the link mean nothing here. Call it when all widgets are drawn."""
    wrong = {key: value for key, value in link.items() if not _same(value, st.session_state.get(key))}
    for key, value in list(wrong.items())[:MOST_TOASTS]:
        shown = st.session_state.get(key)
        what = "has no effect here" if shown is None else f"is not possible here: showing {shown}"
        if key == "model":
            what += ". Public networks must be fetched first, and those that somebody brought along stay with them"
        st.toast(f"The link says {_code(f'{key}={value}')}, which {what}.", icon=":material/link_off:", duration="long")


def _code(text: str) -> str:
    """Somebody else's text, so that it is shown and not rendered."""
    return f"`{text.replace('`', '')[:40]}`"


def _same(text: str, value: object) -> bool:
    if isinstance(value, list):  # of several in a link, only the last one is known
        return any(_same(text, each) for each in value)
    try:
        return float(text) == float(str(value))
    except ValueError:
        return text.lower() == str(value).lower()
